"""How a training computes its language model: as the config says, or in the way that measures fastest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from pargo.config.models import Attention
from pargo.config.training import Train
from pargo.errors import PargoError
from pargo.models.choices import fastest
from pargo.models.fused import FusedLlama, can_fuse
from pargo.models.segments import Segments
from pargo.models.vlm import PargoModel

LAYERS, SAMPLES, LENGTH = 2, 4, 96  # what is measured


def choose_attention(model: PargoModel, asked: Attention, train: Train) -> Attention:
    """The attention that a training uses: `fused`, `sdpa` or `eager`.

    Args:
        model: on its device, in training mode.
        asked: of the config; `auto` measures once per machine.
        train: ZeRO 3 takes weights apart, which the fused layers need whole.

    Raises:
        PargoError: `fused` was asked for, but this model or ZeRO stage does not allow it.
    """
    decoder = model.get_decoder()
    fusable = train.zero_stage < 3 and can_fuse(decoder)
    if asked == "fused" and not fusable:
        raise PargoError(
            "language.attention: fused needs a frozen Llama without LoRA dropout, and zero_stage 0, 1 or 2; auto "
            "finds what fits"
        )
    if asked != "auto":
        return asked
    ways: list[Attention] = ["sdpa", "eager"]
    # on a GPU sdpa never writes the probabilities, which the fused layers keep
    if fusable and next(decoder.parameters()).device.type == "cpu":
        ways.append("fused")
    return _measured(model, ways)


def _measured(model: PargoModel, ways: list[Attention]) -> Attention:
    """The fastest for a forward and backward pass of a few layers."""
    decoder, config = model.get_decoder(), model.get_decoder().config
    weight = model.get_input_embeddings().weight
    layers = decoder.layers if hasattr(decoder, "layers") else None
    if layers is None:
        return "sdpa"  # not the layout of Llama and its relatives
    segments = Segments.of([LENGTH] * SAMPLES, weight.device)
    x = torch.randn(SAMPLES * LENGTH, weight.shape[1], device=weight.device, dtype=weight.dtype)
    rows = torch.arange(len(x), device=weight.device)
    kept = config._attn_implementation

    def plain(way: Attention) -> Callable[[], None]:
        def run() -> None:
            model.language_model.set_attn_implementation(way)
            inputs = x.clone().requires_grad_()[None]
            hidden = decoder(inputs_embeds=inputs, position_ids=segments.position_ids, use_cache=False)
            hidden.last_hidden_state.sum().backward()

        return run

    decoder.layers = nn.ModuleList(layers[:LAYERS])
    try:
        fused = FusedLlama(decoder) if "fused" in ways else None
        runs: dict[str, Callable[[], object]] = {way: plain(way) for way in ways if way != "fused"}
        if fused is not None:
            runs["fused"] = lambda: fused(x.clone().requires_grad_(), segments, rows).sum().backward()
        sizes = f"{config.model_type} {config.hidden_size} wide, {config.num_attention_heads} heads, {weight.dtype}"
        chosen = fastest(f"training of {sizes}, {SAMPLES} samples of {LENGTH}", runs)
    finally:
        decoder.layers = layers
        model.language_model.set_attn_implementation(kept)
        model.zero_grad()
    return chosen  # type: ignore[return-value]
