"""The vision-language model on a tiny Llama: alignment of hidden states, padding, generation, LoRA, strict loading."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pargo.config.models import Language
from pargo.data.random_models import write_random_language
from pargo.errors import PargoError
from pargo.models.language import load_language_model, load_tokenizer, resolve_precision
from pargo.models.vlm import VisionLanguageModel, build_vlm, load_trainable, trainable_state_dict
from tests.models.builders import FEATURE_SIZE, NUM_PATCHES, mlp_config, pargo_config, vision

LANGUAGE = Language(source="llama", precision="fp32")
LORA = {"rank": 2, "alpha": 4, "dropout": 0.0, "target_modules": ("q_proj", "k_proj", "v_proj")}
STOP = (7,)


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("language") / "llama"
    path.mkdir()
    write_random_language(path, hidden_size=32, num_layers=2, num_heads=4, seed=0)
    state = load_file(path / "model.safetensors")
    # sharper weights: the answers of a fresh model hardly depend on its input
    torch.manual_seed(1)
    save_file(
        {k: v + 0.2 * torch.randn(v.shape) for k, v in state.items()}, path / "model.safetensors", {"format": "pt"}
    )
    return path


def build(directory: Path, projector=None, lora=None, seed: int = 0, language=LANGUAGE) -> VisionLanguageModel:
    return build_vlm(vision(), language, projector or pargo_config(), lora, directory, seed)


def batch(lengths=(6, 3, 5)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features, ids and mask of texts padded on the right."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    return torch.randn(len(lengths), NUM_PATCHES, FEATURE_SIZE).half(), torch.randint(0, 256, mask.shape), mask


def test_hidden_states_predict_the_text(directory):
    model = build(directory)
    features, ids, mask = batch()
    hidden = model(features, ids, mask)
    logits = model.language_model.get_output_embeddings()(hidden)
    for row, length in enumerate(mask.sum(1).tolist()):
        tokens = model.projector(features[row : row + 1])
        text = model.language_model.get_input_embeddings()(ids[row : row + 1, :length])
        whole = model.language_model(inputs_embeds=torch.cat([tokens, text], 1)).logits[0]
        # the logits after the last image token predict the first text token, and so on
        expected = whole[tokens.shape[1] - 1 : -1]
        torch.testing.assert_close(logits[row, :length], expected, atol=1e-4, rtol=1e-4)


def test_padding_changes_nothing(directory):
    model = build(directory)
    features, ids, mask = batch()
    hidden = model(features, ids, mask)
    other = model(features, torch.where(mask.bool(), ids, 250), mask)
    wide = torch.nn.functional.pad
    padded = model(features, wide(ids, (0, 4)), wide(mask, (0, 4)))[:, : ids.shape[1]]
    real = mask.bool()
    assert torch.equal(hidden[real], other[real])
    torch.testing.assert_close(hidden[real], padded[real], atol=1e-5, rtol=1e-5)


def test_left_padding_is_refused(directory):
    features, ids, mask = batch()
    with pytest.raises(PargoError, match="padding must be on the right"):
        build(directory)(features, ids, mask.flip(1))


@pytest.mark.parametrize("num_beams", [1, 3])
def test_generation_in_a_batch_equals_one_by_one(directory, num_beams):
    model = build(directory, lora=LORA)
    features = torch.randn(5, NUM_PATCHES, FEATURE_SIZE) * torch.arange(1, 6).view(-1, 1, 1)
    prompts = [[5], [9, 20, 31, 4], [100, 2], [3, 3, 3, 3, 3, 3, 60], [41, 42]]
    options = {"max_new_tokens": 6, "num_beams": num_beams, "stop_ids": STOP}
    together = model.generate(features, prompts, **options)
    alone = [model.generate(features[i : i + 1], prompts[i : i + 1], **options)[0] for i in range(5)]
    assert together == alone
    assert len(set(map(tuple, together))) > 1


def test_greedy_generation_equals_stepwise_argmax_and_stops(directory):
    model = build(directory)
    features, prompt, answer = torch.randn(1, NUM_PATCHES, FEATURE_SIZE), [5, 6], []
    head = model.language_model.get_output_embeddings()
    for _ in range(5):
        ids = torch.tensor([prompt + answer + [0]])
        answer.append(head(model(features, ids, torch.ones_like(ids)))[0, -1].argmax().item())
    assert model.generate(features, [prompt], max_new_tokens=5) == [answer]
    first = answer.index(answer[3])
    assert model.generate(features, [prompt], max_new_tokens=5, stop_ids=[answer[3]]) == [answer[:first]]


def test_generation_leaves_the_mode_as_it_was(directory):
    model = build(directory, lora=LORA | {"dropout": 0.5}).train()
    features = torch.randn(1, NUM_PATCHES, FEATURE_SIZE)
    answers = [model.generate(features, [[5]], max_new_tokens=4) for _ in range(3)]
    assert model.training
    assert answers[0] == answers[1] == answers[2]


def test_number_of_prompts_is_checked(directory):
    with pytest.raises(PargoError, match="1 prompts for 2 images"):
        build(directory).generate(torch.randn(2, NUM_PATCHES, FEATURE_SIZE), [[1]], max_new_tokens=1)


def test_only_projector_and_lora_are_trainable(directory):
    model = build(directory, lora=LORA)
    names = set(trainable_state_dict(model))
    adapters = {
        f"language_model.model.layers.{layer}.self_attn.{target}.lora_{side}.default.weight"
        for layer in range(2)
        for target in LORA["target_modules"]
        for side in "AB"
    }
    assert names == adapters | {f"projector.{name}" for name, _ in model.projector.named_parameters()}
    assert {tensor.dtype for tensor in trainable_state_dict(model).values()} == {torch.float32}
    model(*batch()).square().sum().backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == names


def test_all_linear_leaves_out_the_output_layer(directory):
    names = trainable_state_dict(build(directory, lora={"rank": 2, "alpha": 2, "target_modules": "all-linear"}))
    assert any("down_proj" in name for name in names)
    assert not any("lm_head" in name for name in names)


def test_fresh_lora_changes_nothing(directory):
    inputs = batch()
    torch.testing.assert_close(build(directory)(*inputs), build(directory, lora=LORA)(*inputs))


def test_seeds(directory):
    def weights(**arguments):
        torch.rand(1)  # the generator's state must not matter
        return trainable_state_dict(build(directory, lora=LORA, **arguments))

    first, again, other = weights(), weights(), weights(seed=1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["projector.query_tokens"], other["projector.query_tokens"])
    adapter = next(name for name in first if "lora_A" in name)
    assert not torch.equal(first[adapter], other[adapter])
    assert torch.equal(first[adapter], weights(projector=mlp_config())[adapter])
    half = build(directory, lora=LORA, language=Language(source="llama", precision="bf16"))
    assert torch.equal(first[adapter], trainable_state_dict(half)[adapter])


@pytest.mark.parametrize("trainable", [torch.float32, torch.bfloat16])
def test_bf16_language_model(directory, trainable):
    model = build(directory, lora=LORA, language=Language(source="llama", precision="bf16"))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(trainable)
    hidden = model(*batch())
    assert hidden.dtype == torch.bfloat16
    hidden.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    assert len(model.generate(torch.randn(2, NUM_PATCHES, FEATURE_SIZE), [[1], [2, 3]], max_new_tokens=2)) == 2


@pytest.mark.parametrize(
    ("lora", "text"),
    [
        ({"rank": 2}, r"missing keys \['alpha'\]"),
        ({"rank": 2, "alpha": 2, "rnk": 1}, r"unknown keys \['rnk'\]"),
        ({"rank": 2, "alpha": 2, "target_modules": ("wqkv",)}, "wqkv"),
    ],
)
def test_wrong_lora_is_refused(directory, lora, text):
    with pytest.raises(PargoError, match=text):
        build(directory, lora=lora)


# Saving and loading ---------------------------------------------------------------------------------------------------


def save(state: dict[str, torch.Tensor], path: Path) -> Path:
    save_file(state, path / "model.safetensors")
    return path


def test_round_trip(directory, tmp_path):
    trained, fresh = build(directory, lora=LORA, seed=1), build(directory, lora=LORA, seed=2)
    load_trainable(fresh, save(trainable_state_dict(trained), tmp_path))
    inputs = batch()
    assert torch.equal(trained(*inputs), fresh(*inputs))


def test_pretrained_projector_without_lora(directory, tmp_path):
    save(trainable_state_dict(build(directory, seed=1)), tmp_path)
    model = build(directory, lora=LORA)
    with pytest.raises(PargoError, match=r"missing: language_model\.model\.layers\.0\.self_attn\.k_proj\.lora_A"):
        load_trainable(model, tmp_path)
    load_trainable(model, tmp_path, allow_missing_lora=True)
    loaded = trainable_state_dict(model)["projector.query_tokens"]
    assert torch.equal(loaded, load_file(tmp_path / "model.safetensors")["projector.query_tokens"])


def test_each_misfit_is_listed(directory, tmp_path):
    model = build(directory, lora=LORA)
    state = trainable_state_dict(model)
    adapter = next(name for name in state if "lora_A" in name)
    del state[adapter], state["projector.norm.bias"]
    state["projector.extra"] = torch.zeros(1)
    state["projector.output.bias"] = torch.zeros(3)
    save(state, tmp_path)
    with pytest.raises(PargoError) as caught:
        # some LoRA is there, so all of it must be
        load_trainable(model, tmp_path, allow_missing_lora=True)
    text = str(caught.value)
    assert f"missing: {adapter}, projector.norm.bias" in text
    assert "unexpected: projector.extra" in text
    assert "mis-shaped: projector.output.bias [3] instead of [32]" in text


def test_language_model_errors(directory, tmp_path):
    with pytest.raises(PargoError, match=r"no config\.json"):
        load_tokenizer(tmp_path)
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(PargoError, match=r"missing_keys: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_language_model(LANGUAGE, tmp_path)


def test_precision():
    assert resolve_precision("fp32") is torch.float32
    assert resolve_precision("bf16") is torch.bfloat16
    assert resolve_precision("auto") in (torch.float32, torch.bfloat16)
