"""The model that is trained and evaluated: alignment of hidden states, padding, generation, LoRA, strict loading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pargo.config.models import Adapter, Language
from pargo.data.template import IMAGE
from pargo.errors import InputError, PargoError
from pargo.models.build import build_model, load_own_weights, own_state_dict
from pargo.models.generate import generate
from pargo.models.language import load_language_model, load_tokenizer, resolve_precision
from pargo.models.vlm import PargoForConditionalGeneration, PargoModel
from tests.helpers.model_builders import FEATURE_SIZE, NUM_PATCHES, mlp_config, pargo_config, vision

LANGUAGE = Language(source="llama", precision="fp32")
LORA = Adapter(rank=2, alpha=4, target_modules=("q_proj", "k_proj", "v_proj"))
STOP = (7,)


def build(
    directory: Path, projector=None, adapter=None, seed: int = 0, language=LANGUAGE, kind=PargoForConditionalGeneration
) -> PargoModel:
    return build_model(kind, vision(), language, projector or pargo_config(), adapter, directory, seed)


def batch(lengths=(6, 3, 5), num_tokens: int = 11) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, ids with the image in front padded on the right, and which of them are text."""
    text = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    ids = torch.cat([torch.full((len(lengths), num_tokens), 258), torch.randint(0, 256, text.shape)], 1)
    return torch.randn(len(lengths), NUM_PATCHES, FEATURE_SIZE).half(), ids, text


def hidden_states(model: PargoModel, features: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    embeddings = model.embed(ids, model.project(features))
    return PargoModel.forward(model, inputs_embeds=embeddings).last_hidden_state


def test_the_image_stands_where_its_tokens_are(language_dir):
    model = build(language_dir)
    features, ids, text = batch()
    hidden = hidden_states(model, features, ids)
    for row, length in enumerate(text.sum(1).tolist()):
        tokens = model.project(features[row : row + 1])
        words = model.get_input_embeddings()(ids[row : row + 1, 11 : 11 + length])
        whole = model.language_model.model(inputs_embeds=torch.cat([tokens, words], 1)).last_hidden_state[0]
        torch.testing.assert_close(hidden[row, : 11 + length], whole, atol=1e-5, rtol=1e-5)


def test_padding_on_the_right_changes_nothing(language_dir):
    model = build(language_dir)
    features, ids, text = batch()
    real = torch.cat([torch.ones(3, 11), text], 1).bool()
    hidden = hidden_states(model, features, ids)
    other = hidden_states(model, features, torch.where(real, ids, 250))
    wide = hidden_states(model, features, torch.nn.functional.pad(ids, (0, 4)))[:, : ids.shape[1]]
    assert torch.equal(hidden[real], other[real])
    torch.testing.assert_close(hidden[real], wide[real], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("asked", "loaded"), [("auto", "sdpa"), ("fused", "sdpa"), ("eager", "eager")])
def test_the_language_model_keeps_its_attention(language_dir, asked, loaded):
    model = build(language_dir, kind=PargoModel, language=LANGUAGE.model_copy(update={"attention": asked}))
    assert model.language_model.config._attn_implementation == loaded
    assert model.vision_tower is None
    with pytest.raises(InputError, match="no vision tower"):
        model.get_image_features(torch.zeros(1, 3, 64, 64))


def test_generation_refuses_prompts_without_their_image(language_dir):
    model = build(language_dir)
    features = torch.randn(2, NUM_PATCHES, FEATURE_SIZE)
    with pytest.raises(InputError, match=r"prompt\(s\) \[0, 1\] do not have exactly one image"):
        generate(model, features, [[IMAGE, IMAGE, 5], [6, 7]], 3)
    with pytest.raises(InputError, match="at least one prompt"):
        generate(model, features[:0], [], 3)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_generation_in_a_batch_equals_one_by_one(language_dir, num_beams):
    model = build(language_dir, adapter=LORA)
    features = torch.randn(5, NUM_PATCHES, FEATURE_SIZE) * torch.arange(1, 6).view(-1, 1, 1)
    prompts = [[IMAGE, 5], [9, 20, IMAGE, 31, 4], [IMAGE, 100, 2], [3, 3, 3, 3, 3, 3, IMAGE, 60], [IMAGE, 41, 42]]
    options = {"max_new_tokens": 6, "num_beams": num_beams, "stop_ids": STOP}
    together = generate(model, features, prompts, **options)
    alone = [generate(model, features[i : i + 1], prompts[i : i + 1], **options)[0] for i in range(5)]
    assert together == alone
    assert len(set(map(tuple, together))) > 1


def test_an_image_read_once_gives_the_same_answers(language_dir, monkeypatch):
    model = build(language_dir, adapter=LORA)
    features = torch.randn(3, NUM_PATCHES, FEATURE_SIZE) * torch.arange(1, 4).view(-1, 1, 1)
    prompts = [[IMAGE, 5], [IMAGE, 31, 4, 7, 8], [IMAGE, 100, 2], [IMAGE, 60, 1, 1], [IMAGE, 41]]
    images = [2, 0, 2, 1, 0]
    options = {"max_new_tokens": 6, "stop_ids": STOP}
    rows = []
    project = model.project
    monkeypatch.setattr(model, "project", lambda given: rows.append(len(given)) or project(given))
    together = generate(model, features, prompts, images=images, **options)
    assert rows == [3]
    alone = [stepwise(model, features[i : i + 1], prompt) for i, prompt in zip(images, prompts, strict=True)]
    assert together == alone
    assert len(set(map(tuple, together))) > 1


def stepwise(model, features: torch.Tensor, prompt: list[int]) -> list[int]:
    """Greedy without a cache: the whole row again for every token."""
    head, answer = model.get_output_embeddings(), []
    for _ in range(6):
        ids = torch.tensor([[258] * 11 + prompt[1:] + answer])
        token = head(hidden_states(model, features, ids))[0, -1].argmax().item()
        if token in STOP:
            break
        answer.append(token)
    return answer


def test_greedy_generation_equals_stepwise_argmax_and_stops(language_dir):
    model = build(language_dir)
    features, prompt, answer = torch.randn(1, NUM_PATCHES, FEATURE_SIZE), [258] * 11 + [5, 6], []
    head = model.get_output_embeddings()
    for _ in range(5):
        ids = torch.tensor([prompt + answer])
        answer.append(head(hidden_states(model, features, ids))[0, -1].argmax().item())
    assert generate(model, features, [[IMAGE, 5, 6]], max_new_tokens=5) == [answer]
    first = answer.index(answer[3])
    assert generate(model, features, [[IMAGE, 5, 6]], max_new_tokens=5, stop_ids=[answer[3]]) == [answer[:first]]


def test_generation_leaves_the_mode_as_it_was(language_dir):
    model = build(language_dir, adapter=Adapter(rank=2, alpha=4, dropout=0.5)).train()
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE)
    answers = [generate(model, features, [[IMAGE, 5]], max_new_tokens=4) for _ in range(3)]
    assert model.training
    assert answers[0] == answers[1] == answers[2]


def test_number_of_prompts_is_checked(language_dir):
    with pytest.raises(InputError, match="1 prompts for 2 images"):
        generate(build(language_dir), torch.randn(2, NUM_PATCHES, FEATURE_SIZE), [[IMAGE, 1]], max_new_tokens=1)


def test_only_projector_and_lora_are_trainable(language_dir):
    model = build(language_dir, adapter=LORA)
    adapters = {
        f"language_model.model.layers.{layer}.self_attn.{target}.lora_{side}.default.weight"
        for layer in range(2)
        for target in LORA.target_modules
        for side in "AB"
    }
    assert set(own_state_dict(model)) == adapters | {
        f"projector.{name}" for name, _ in model.projector.named_parameters()
    }
    assert {tensor.dtype for tensor in own_state_dict(model).values()} == {torch.float32}
    features, ids, _ = batch()
    hidden_states(model, features, ids).square().sum().backward()
    # the biases have no effect and no gradient (see Attention)
    biases = {name for name in own_state_dict(model) if name.endswith("attention.key.bias")}
    frozen = {"projector.input_norm.weight", "projector.input_norm.bias"} | biases
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == set(own_state_dict(model)) - frozen


def test_all_linear_leaves_out_the_output_layer(language_dir):
    names = own_state_dict(build(language_dir, adapter=Adapter(rank=2, alpha=2)))
    assert any("down_proj" in name for name in names)
    assert not any("lm_head" in name for name in names)


def test_fresh_lora_changes_nothing(language_dir):
    features, ids, _ = batch()
    plain, adapted = (hidden_states(build(language_dir, adapter=adapter), features, ids) for adapter in (None, LORA))
    torch.testing.assert_close(plain, adapted)


def test_seeds(language_dir):
    def weights(**arguments):
        torch.rand(1)  # the generator's state must not matter
        return own_state_dict(build(language_dir, adapter=LORA, **arguments))

    first, again, other = weights(), weights(), weights(seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["projector.query_tokens"], other["projector.query_tokens"])
    adapter = next(name for name in first if "lora_A" in name)
    assert not torch.equal(first[adapter], other[adapter])
    assert torch.equal(first[adapter], weights(projector=mlp_config())[adapter])
    half = build(language_dir, adapter=LORA, language=Language(source="llama", precision="bf16"))
    assert torch.equal(first[adapter], own_state_dict(half)[adapter])


def test_bf16_language_model(language_dir):
    model = build(language_dir, adapter=LORA, language=Language(source="llama", precision="bf16"))
    features, ids, _ = batch()
    hidden = hidden_states(model, features, ids)
    assert hidden.dtype == torch.bfloat16
    assert model.projector.output.weight.dtype == torch.float32
    hidden.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    prompts = [[IMAGE, 1], [IMAGE, 2, 3]]
    assert len(generate(model, torch.randn(2, NUM_PATCHES, FEATURE_SIZE), prompts, max_new_tokens=2)) == 2


def test_target_modules_that_are_not_there(language_dir):
    with pytest.raises(PargoError, match="wqkv"):
        build(language_dir, adapter=Adapter(rank=2, alpha=2, target_modules=("wqkv",)))


# Saving and loading ---------------------------------------------------------------------------------------------------


def save(state: dict[str, torch.Tensor], path: Path) -> Path:
    save_file(state, path / "model.safetensors")
    return path


def test_round_trip(language_dir, tmp_path):
    trained, fresh = (build(language_dir, adapter=LORA, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        trained.projector.input_norm.bias += 0.5  # frozen, but part of the projector
    load_own_weights(fresh, save(own_state_dict(trained), tmp_path))
    features, ids, _ = batch()
    assert torch.equal(hidden_states(trained, features, ids), hidden_states(fresh, features, ids))


def test_pretrained_projector_without_lora(language_dir, tmp_path):
    save(own_state_dict(build(language_dir, seed=1)), tmp_path)
    model = build(language_dir, adapter=LORA)
    with pytest.raises(PargoError, match=r"missing: language_model\.model\.layers\.0\.self_attn\.k_proj\.lora_A"):
        load_own_weights(model, tmp_path)
    load_own_weights(model, tmp_path, allow_missing_lora=True)
    loaded = own_state_dict(model)["projector.query_tokens"]
    assert torch.equal(loaded, load_file(tmp_path / "model.safetensors")["projector.query_tokens"])


def test_each_misfit_is_listed(language_dir, tmp_path):
    model = build(language_dir, adapter=LORA)
    state = own_state_dict(model)
    adapter = next(name for name in state if "lora_A" in name)
    del state[adapter], state["projector.norm.bias"]
    state["projector.extra"] = torch.zeros(1)
    state["projector.output.bias"] = torch.zeros(3)
    save(state, tmp_path)
    with pytest.raises(PargoError) as caught:
        # some LoRA is there, so all of it must be
        load_own_weights(model, tmp_path, allow_missing_lora=True)
    text = str(caught.value)
    assert f"missing: {adapter}, projector.norm.bias" in text
    assert "unexpected: projector.extra" in text
    assert "mis-shaped: projector.output.bias [3] instead of [32]" in text


def test_language_model_errors(language_dir, tmp_path):
    with pytest.raises(PargoError, match=r"no config\.json"):
        load_tokenizer(tmp_path)
    for path in language_dir.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(PargoError, match=r"missing: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_language_model(LANGUAGE, tmp_path)


def test_precision_by_name():
    assert resolve_precision("fp32") is torch.float32
    assert resolve_precision("bf16") is torch.bfloat16
    assert resolve_precision("auto") in (torch.float32, torch.bfloat16)
