"""The released checkpoint: our numbers against the official code's, through the conversion that loads the real one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from pargo.config.projectors.pargo import PargoProjector
from pargo.errors import InputError, PargoError
from pargo.export.load import load_exported
from pargo.export.release import convert_release, convert_release_state_dict
from pargo.export.run import export
from pargo.export.settings import read_model_settings
from pargo.files import sha256_file
from pargo.models.projectors.pargo import ParGo
from pargo.models.projectors.shape import ProjectorShape
from pargo.sources.importers.internlm2 import split_rows
from pargo.sources.importers.language import save_language_model
from pargo.sources.importers.vision import save_vision_tower
from pargo.sources.random_models import byte_tokenizer

PARITY = Path(__file__).parent / "parity"
META = json.loads((PARITY / "release.json").read_text(encoding="utf-8"))


def oracle(name: str) -> tuple[ParGo, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Model, the release's weights under its names, everything in the file."""
    meta, tensors = META[name], load_file(PARITY / f"release_{name}.safetensors")
    config = PargoProjector(
        name="pargo",
        num_partial_tokens=meta["num_partial"],
        num_global_tokens=meta["num_queries"] - meta["num_partial"],
        self_attention="release",
        **{key: meta[key] for key in ("hidden_size", "num_layers", "num_heads", "intermediate_size")},
    )
    model = ParGo(config, ProjectorShape(meta["num_patches"], meta["encoder_width"], 8))
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    return model, weights | {"query_tokens": tensors["query_tokens"]}, tensors


def load(model: ParGo, weights: dict[str, torch.Tensor]) -> None:
    """Strictly; input norm and output Linear, which the files do not have, stay."""
    own = model.state_dict()
    rest = {name: tensor for name, tensor in own.items() if name.startswith(("input_norm.", "output."))}
    model.load_state_dict(convert_release_state_dict(weights) | rest)


@pytest.mark.parametrize("name", sorted(META))
def test_hidden_state_and_attentions(name):
    model, weights, tensors = oracle(name)
    load(model, weights)
    hidden, attentions = model.encode(tensors["features"], output_attentions=True)
    assert (hidden - tensors["expected"]).abs().max() < 1e-5
    for layer in range(META[name]["num_layers"]):
        assert (attentions.self_attention[layer] - tensors[f"self_attention.{layer}"]).abs().max() < 1e-5
        assert (attentions.cross_attention[layer] - tensors[f"cross_attention.{layer}"]).abs().max() < 1e-5


def test_unknown_and_absent_names_are_refused():
    _, weights, _ = oracle("quads")
    with pytest.raises(InputError, match=r"encoder\.layer\.0\.intermediate\.dense\.weight"):
        convert_release_state_dict(weights | {"encoder.layer.0.intermediate.dense.weight": torch.zeros(1)})
    with pytest.raises(InputError, match="position_ids are not 0, 1, 2"):
        convert_release_state_dict(weights | {"embeddings.position_ids": torch.tensor([[0, 2, 1]])})
    del weights["query_tokens"]
    with pytest.raises(InputError, match="lack query_tokens"):
        convert_release_state_dict(weights)


# The whole checkpoint -------------------------------------------------------------------------------------------------

HEADS, KV_HEADS, WIDTH, LAYERS, RANK = 6, 2, 48, 2, 4
SIZE = WIDTH // HEADS
SIZES = {
    "num_heads": META["quads"]["num_heads"],
    "num_partial_tokens": META["quads"]["num_partial"],
    "num_language_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
}


def lora_name(layer: int, side: str) -> str:
    return f"llm_model.base_model.model.model.layers.{layer}.attention.wqkv.lora_{side}.default.weight"


def checkpoint() -> dict[str, torch.Tensor]:
    """All of the release's names, for the small projector of the oracle."""
    _, weights, _ = oracle("quads")
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    meta = META["quads"]
    state = {f"ParGo.bert.{name}": tensor for name, tensor in weights.items() if name != "query_tokens"}
    state["query_tokens"] = weights["query_tokens"]
    state["ParGo.bert.embeddings.position_ids"] = torch.arange(meta["max_position_embeddings"]).unsqueeze(0)
    state |= {"ln_vision.weight": random(meta["encoder_width"]), "ln_vision.bias": random(meta["encoder_width"])}
    state |= {"llm_proj.weight": random(WIDTH, meta["hidden_size"]), "llm_proj.bias": random(WIDTH)}
    for layer in range(LAYERS):
        state[lora_name(layer, "A")] = random(RANK, WIDTH)
        state[lora_name(layer, "B")] = random((HEADS + 2 * KV_HEADS) * SIZE, RANK)
    return state


@pytest.fixture(autouse=True)
def patches_of_the_oracle(monkeypatch):
    """The release has 576 patches; the oracle's projector fewer."""
    from pargo.export import release

    small = release.VISION.model_copy(update={"num_patches": META["quads"]["num_patches"]})
    monkeypatch.setattr(release, "VISION", small)


def wrap(state: dict[str, torch.Tensor], how: str) -> dict:
    if how == "module":
        return {f"module.{name}": tensor for name, tensor in state.items()}
    return state if how == "bare" else {how: state}


@pytest.mark.parametrize("how", ["bare", "model", "state_dict", "module"])
def test_every_released_name_has_a_place(tmp_path, how):
    state = checkpoint()
    torch.save(wrap(state, how), tmp_path / "ckpt.pt")
    settings = convert_release(tmp_path / "ckpt.pt", tmp_path / "out", **SIZES)
    assert read_model_settings(tmp_path / "out") == settings
    assert settings.projector.num_global_tokens == META["quads"]["num_queries"] - META["quads"]["num_partial"]
    assert (settings.lora.rank, settings.lora.alpha, settings.template) == (RANK, 2 * RANK, "release")
    converted = load_file(tmp_path / "out" / "model.safetensors")
    own = {name.removeprefix("projector."): t for name, t in converted.items() if name.startswith("projector.")}
    projector = ParGo(settings.projector, ProjectorShape.between(settings.vision, WIDTH))
    projector.load_state_dict(own)
    tensors = load_file(PARITY / "release_quads.safetensors")
    tokens = projector.output(projector.encode(tensors["features"])[0])
    expected = tensors["expected"] @ state["llm_proj.weight"].T + state["llm_proj.bias"]
    torch.testing.assert_close(tokens, expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(projector.input_norm.weight, state["ln_vision.weight"])


def test_lora_on_the_fused_matrix_is_the_same_update_on_its_parts(tmp_path):
    state = checkpoint()
    torch.save(state, tmp_path / "ckpt.pt")
    convert_release(tmp_path / "ckpt.pt", tmp_path / "out", **SIZES)
    converted = load_file(tmp_path / "out" / "model.safetensors")
    x = torch.randn(5, WIDTH)
    for layer in range(LAYERS):
        fused = x @ (state[lora_name(layer, "B")] @ state[lora_name(layer, "A")]).T
        groups = fused.view(5, KV_HEADS, HEADS // KV_HEADS + 2, SIZE)
        expected = {
            "q": groups[:, :, :-2].flatten(1),
            "k": groups[:, :, -2].flatten(1),
            "v": groups[:, :, -1].flatten(1),
        }
        for part, update in expected.items():
            prefix = f"language_model.model.layers.{layer}.self_attn.{part}_proj.lora_"
            sides = (converted[f"{prefix}{side}.default.weight"] for side in "BA")
            torch.testing.assert_close(x @ torch.linalg.multi_dot([*sides]).T, update, atol=1e-4, rtol=1e-4)


def test_a_converted_checkpoint_is_exported_and_answers(tmp_path, monkeypatch):
    """The way of the real one: convert, export with a tower and a language model, load, generate."""
    from pargo.export import release

    channels, state = 192, checkpoint()
    sizes = {"architecture": "eva02_tiny_patch14_224", "image_size": 56, "num_patches": 16, "feature_size": channels}
    monkeypatch.setattr(release, "VISION", release.VISION.model_copy(update=sizes))
    for name, tensor in state.items():
        if name.startswith("ln_vision") or name.endswith(
            ("crossattention.self.key.weight", "crossattention.self.value.weight")
        ):
            state[name] = torch.randn(*tensor.shape[:-1], channels)
    for part in ("tower", "language"):
        (tmp_path / part).mkdir()
    tower = timm.create_model(sizes["architecture"], img_size=56).state_dict()
    save_vision_tower(tmp_path / "tower", sizes["architecture"], tower, mean=(0.5,) * 3, std=(0.5,) * 3)
    tokenizer = byte_tokenizer()
    language = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    weights = language.state_dict()
    save_language_model(tmp_path / "language", language.config, weights, tokenizer, dtype=torch.float32)
    torch.save(state, tmp_path / "ParGo.pt")
    convert_release(tmp_path / "ParGo.pt", tmp_path / "converted", **SIZES | {"num_partial_tokens": 8})
    export(
        tmp_path / "converted",
        tmp_path / "exported",
        language=tmp_path / "language",
        vision=tmp_path / "tower",
        dtype=torch.float32,
    )
    model, processor = load_exported(tmp_path / "exported")
    assert torch.equal(model.projector.query_tokens, state["query_tokens"][0])
    update = 2 * state[lora_name(1, "B")] @ state[lora_name(1, "A")]
    for name, rows in split_rows(update, HEADS, KV_HEADS).items():
        merged = model.language_model.state_dict()[f"model.layers.1.self_attn.{name}.weight"]
        torch.testing.assert_close(merged, weights[f"model.layers.1.self_attn.{name}.weight"] + rows)
    inputs = processor(images=Image.new("RGB", (60, 40), "red"), text="<image>\nRed?", return_tensors="pt")
    assert model.generate(**inputs, max_new_tokens=5).shape[1] > inputs["input_ids"].shape[1]
    record = json.loads((tmp_path / "exported" / "provenance.json").read_text())
    assert record["files"]["ParGo.pt"] == sha256_file(tmp_path / "ParGo.pt")
    assert (tmp_path / "tower" / "model.safetensors").as_posix() in record["files"]
    assert sha256_file(tmp_path / "ParGo.pt") in (tmp_path / "exported" / "README.md").read_text()


def spoil(state: dict[str, torch.Tensor], how: str) -> None:
    name = "ParGo.bert.encoder.layer.1.crossattention.self.key.weight"
    if how == "missing":
        del state[name]
    elif how == "unexpected":
        state["ParGo.bert.encoder.layer.1.output.dense.weight"] = torch.zeros(2)
    elif how == "mis-shaped":
        state[name] = state[name][:, 1:]
    elif how == "other part":
        state["visual_encoder.blocks.0.weight"] = torch.zeros(2)
    elif how == "no norm":
        del state["ln_vision.weight"]
    elif how == "no LoRA layer":
        del state[lora_name(1, "B")]
    elif how == "one LoRA layer more":
        state[lora_name(2, "A")] = torch.zeros(RANK, WIDTH)
    elif how == "LoRA shape":
        state[lora_name(1, "A")] = torch.zeros(RANK, WIDTH + 1)
    elif how == "two names of one tensor":
        state["module.llm_proj.bias"] = torch.zeros(WIDTH)
    elif how == "two names of one LoRA":
        state[lora_name(1, "A").replace(".default", "")] = torch.zeros(RANK, WIDTH)
    elif how == "not finite":
        state["llm_proj.bias"][3] = torch.nan
    elif how == "integers":
        state["llm_proj.bias"] = torch.zeros(WIDTH, dtype=torch.int64)
    elif how == "two sets of queries":
        state["query_tokens"] = state["query_tokens"].repeat(2, 1, 1)
    elif how == "a scalar":
        state[lora_name(1, "B")] = torch.tensor(1.0)
    elif how == "several":
        del state["ln_vision.weight"], state[name], state[lora_name(1, "B")]
        state["extra.x"] = torch.zeros(1)
    elif how == "a number as a name":
        state[0] = torch.zeros(1)
    elif how == "LoRA rows":
        state[lora_name(1, "B")] = torch.zeros(7, RANK)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("missing", r"missing: projector\.layers\.1\.cross_attention\.key\.weight"),
        ("unexpected", r"unexpected: ParGo\.bert\.encoder\.layer\.1\.output\.dense\.weight"),
        ("two names of one tensor", r"unexpected: module\.llm_proj\.bias"),
        ("two names of one LoRA", r"unexpected: llm_model.*layers\.1\.attention\.wqkv\.lora_A\.weight"),
        ("not finite", r"not-finite: llm_proj\.bias"),
        ("integers", r"of-integers: llm_proj\.bias"),
        ("two sets of queries", r"query_tokens \[2, 12, 32\] instead of \[1, tokens, channels\]"),
        ("a scalar", r"mis-shaped: llm_model.*layers\.1\.attention\.wqkv\.lora_B\.default\.weight \[\]"),
        (
            "several",
            r"missing: ln_vision\.weight, projector\.layers\.1\.cross_attention\.key\.weight, .*lora_B.*; "
            r"unexpected: extra\.x",
        ),
        ("a number as a name", "does not hold tensors by name"),
        (
            "mis-shaped",
            r"mis-shaped: projector\.layers\.1\.cross_attention\.key\.weight \[32, 23\] instead of \[32, 24\]",
        ),
        ("other part", r"unexpected: visual_encoder\.blocks\.0\.weight"),
        ("no norm", r"missing: ln_vision\.weight"),
        ("no LoRA layer", r"missing: llm_model.*layers\.1\.attention\.wqkv\.lora_B"),
        ("one LoRA layer more", r"unexpected: llm_model.*layers\.2\.attention\.wqkv\.lora_A"),
        ("LoRA shape", r"mis-shaped: language_model.*layers\.1\.self_attn\.k_proj\.lora_A"),
        ("LoRA rows", "wqkv has 7 rows"),
    ],
)
def test_one_key_off_is_refused(tmp_path, how, text):
    state = checkpoint()
    spoil(state, how)
    torch.save(state, tmp_path / "ckpt.pt")
    with pytest.raises(PargoError, match=text):
        convert_release(tmp_path / "ckpt.pt", tmp_path / "out", **SIZES)
    assert not (tmp_path / "out").exists()


def test_what_is_no_checkpoint_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    path = tmp_path / "ckpt.pt"
    for content in ({"model": Evil()}, {"model": 3}, [1]):
        torch.save(content, path)
        with pytest.raises(PargoError, match=r"ckpt\.pt (is no checkpoint|does not hold)"):
            convert_release(path, tmp_path / "out", **SIZES)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(PargoError, match="is no checkpoint"):
        convert_release(path, tmp_path / "out", **SIZES)
    with pytest.raises(PargoError, match="does not exist"):
        convert_release(tmp_path / "none.pt", tmp_path / "out", **SIZES)
    torch.save(checkpoint(), path)
    with pytest.raises(ValueError, match="num_partial_tokens: 13, but the checkpoint has 12 queries"):
        convert_release(path, tmp_path / "out", **SIZES | {"num_partial_tokens": 13})
    (tmp_path / "out").mkdir()
    with pytest.raises(PargoError, match="exists already"):
        convert_release(path, tmp_path / "out", **SIZES)
