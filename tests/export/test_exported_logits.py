"""`pargo export` writes a model whose logits are those of the trained one, or nothing."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from pargo.errors import PargoError
from pargo.export import model as assembling
from pargo.export import run
from pargo.export.load import load_exported
from pargo.export.model import check_same
from pargo.export.run import export

EMBEDDINGS, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture
def untied(inside, tmp_path):
    """The language model with an output layer of its own."""
    directory = tmp_path / "untied"
    shutil.copytree(inside.layout.source("language_model"), directory)
    state = load_file(directory / "model.safetensors")
    state[OUTPUT] = state[EMBEDDINGS].flip(0).contiguous()
    save_file(state, directory / "model.safetensors", {"format": "pt"})
    return directory


def tie(directory, tied: bool) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": tied}))


def test_an_output_layer_of_its_own_stays_one(inside, untied, tmp_path):
    tie(untied, False)
    export(inside.model, tmp_path / "out", language=untied, dtype=torch.float32, compare=0)
    state = load_file(tmp_path / "out" / "model.safetensors")
    copy, _ = load_exported(tmp_path / "out")
    assert not copy.language_model.config.tie_word_embeddings
    for name in (EMBEDDINGS, OUTPUT):
        given = load_file(untied / "model.safetensors")[name]
        written = state[f"language_model.{name}"]
        assert torch.equal(written[: len(given)], given)
        assert not written[len(given) :].any()
        assert torch.equal(copy.get_parameter(f"language_model.{name}").cpu(), written)


def test_an_output_layer_that_the_config_ties_is_refused(inside, untied, tmp_path):
    tie(untied, True)
    with pytest.raises(PargoError, match=r"untied: config\.json says tie_word_embeddings true, but the weights hold"):
        export(inside.model, tmp_path / "out", language=untied, compare=0)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_with_more_tokens_is_refused(inside, untied, tmp_path):
    tie(untied, False)
    state = load_file(untied / "model.safetensors")
    for name in (EMBEDDINGS, OUTPUT):
        state[name] = state[name][:-1].clone()
    save_file(state, untied / "model.safetensors", {"format": "pt"})
    path = untied / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"vocab_size": config["vocab_size"] - 1}))
    with pytest.raises(PargoError, match=r"untied: the tokenizer has 258 tokens with ids up to 257, .* for 257"):
        export(inside.model, tmp_path / "out", language=untied, compare=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_merge_that_changes_logits_is_refused(inside, tmp_path, monkeypatch, dtype):
    merge = assembling.merge_lora

    def tied_by_mistake(model):
        model = merge(model)
        with torch.no_grad():
            model.get_output_embeddings().weight += 0.01
        return model

    monkeypatch.setattr(assembling, "merge_lora", tied_by_mistake)
    with pytest.raises(
        PargoError, match=r"with its adapters merged and <image> added answers differently: logits move"
    ):
        export(inside.model, tmp_path / "out", dtype=dtype, compare=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_copy_that_loads_as_another_model_is_refused(inside, tmp_path, monkeypatch, dtype):
    def changed(directory):
        model, processor = load_exported(directory)
        with torch.no_grad():
            model.get_parameter("language_model.model.layers.1.mlp.up_proj.weight")[0] = 0
        return model, processor

    monkeypatch.setattr(run, "load_exported", changed)
    with pytest.raises(PargoError, match="as it is loaded again answers differently"):
        export(inside.model, tmp_path / "out", dtype=dtype, compare=0)
    assert not (tmp_path / "out").exists()


def test_what_is_rounding_and_what_is_not():
    logits = torch.randn(1, 4, 50, generator=torch.Generator().manual_seed(0))
    check_same(logits, logits * (1 + 1e-6), "x")
    for other in (logits + 0.01, logits.roll(1, -1), torch.full_like(logits, torch.nan)):
        with pytest.raises(PargoError, match="the language model x answers differently"):
            check_same(logits, other, "x")
