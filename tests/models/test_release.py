"""The release variant against the official code's own numbers, through the conversion that loads its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pargo.config.projectors import PargoProjector
from pargo.errors import PargoError
from pargo.models.projectors.pargo import ParGo
from pargo.models.release import convert_release_state_dict, load_release_weights

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
    model = ParGo(config, num_patches=meta["num_patches"], feature_size=meta["encoder_width"], output_size=8)
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    return model, weights | {"query_tokens": tensors["query_tokens"]}, tensors


@pytest.mark.parametrize("name", sorted(META))
def test_hidden_state_and_attentions(name):
    model, weights, tensors = oracle(name)
    load_release_weights(model, weights)
    hidden, attentions = model.encode(tensors["features"], output_attentions=True)
    assert (hidden - tensors["expected"]).abs().max() < 1e-5
    for layer in range(META[name]["num_layers"]):
        assert (attentions.self_attention[layer] - tensors[f"self_attention.{layer}"]).abs().max() < 1e-5
        assert (attentions.cross_attention[layer] - tensors[f"cross_attention.{layer}"]).abs().max() < 1e-5


def test_unknown_and_absent_names_are_refused():
    _, weights, _ = oracle("quads")
    with pytest.raises(PargoError, match=r"encoder\.layer\.0\.intermediate\.dense\.weight"):
        convert_release_state_dict(weights | {"encoder.layer.0.intermediate.dense.weight": torch.zeros(1)})
    del weights["query_tokens"]
    with pytest.raises(PargoError, match="lack query_tokens"):
        convert_release_state_dict(weights)


def test_incomplete_weights_are_refused():
    model, weights, _ = oracle("quads")
    del weights["encoder.layer.1.output_query.dense.bias"]
    with pytest.raises(RuntimeError, match=r"layers\.1\.feed_forward\.output\.bias"):
        load_release_weights(model, weights)
