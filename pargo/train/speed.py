"""How fast a training is: counts of a step, and how much of the hardware's peak they use where that is known."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping

import torch

from pargo.models.vlm import PargoModel
from pargo.train.peaks import PEAKS


def peak_flops() -> float | None:
    """Peak operations per second of this process's device; None where unknown (all CPUs: their clocks vary)."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def step_flops(model: PargoModel, tokens: int, supervised: int) -> float:
    """Floating-point operations of the language model's matrix products in a training step.

    Two per weight and token forwards, two for the gradient of its input, and two for that of the weight where it is
    trained; attention between tokens and the projector are left out, so it is a lower bound.

    Args:
        model: its trainable weights are known by `requires_grad`.
        tokens: text and image tokens of the step.
        supervised: tokens that reach the output layer.
    """
    linear = [
        parameter
        for name, parameter in model.get_decoder().named_parameters()
        if _size(parameter) and "embed" not in name
    ]
    frozen = sum(_size(parameter) for parameter in linear if not parameter.requires_grad)
    trained = sum(_size(parameter) for parameter in linear if parameter.requires_grad)
    head = _size(model.get_output_embeddings().weight)
    return tokens * (4.0 * frozen + 6.0 * trained) + supervised * 4.0 * head


def _size(parameter: torch.nn.Parameter) -> int:
    """Elements of a matrix, also where ZeRO 3 keeps a part of it here; 0 for vectors."""
    shape = getattr(parameter, "ds_shape", parameter.shape)
    return shape.numel() if len(shape) > 1 else 0


def peak_memory() -> int:
    """Most bytes this process has used so far: of the GPU, or without one of main memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


class Meter:
    """Sums of what steps took.

    Args:
        model: see `step_flops`.
        world_size: ranks, each with a device of its own.
    """

    def __init__(self, model: PargoModel, world_size: int) -> None:
        self._model = model
        self._world_size = world_size
        self._peak = peak_flops()
        self._sums = dict.fromkeys(("samples", "tokens", "data", "compute"), 0.0)

    def add(self, *, samples: int, tokens: int, supervised: int, data: float, compute: float) -> dict[str, float]:
        """Numbers of one step for the log: of all ranks, but times (seconds) and memory (bytes) of this one."""
        seconds = data + compute
        for name, value in (("samples", samples), ("tokens", tokens), ("data", data), ("compute", compute)):
            self._sums[name] += value
        row = {
            "samples": samples,
            "tokens": tokens,
            "data": round(data, 4),
            "seconds": round(seconds, 4),
            "samples_per_second": round(samples / seconds, 3),
            "tokens_per_second": round(tokens / seconds, 1),
            "memory": peak_memory(),
        }
        if self._peak is not None:
            flops = step_flops(self._model, tokens, supervised)
            row["mfu"] = round(flops / seconds / self._peak / self._world_size, 4)
        return row

    def summary(self) -> str:
        """One line about all steps so far."""
        sums: Mapping[str, float] = self._sums
        seconds = sums["data"] + sums["compute"]
        if not seconds:
            return "no steps"
        return (
            f"{sums['samples']:,.0f} samples, {sums['tokens']:,.0f} tokens in {seconds:,.1f} s: "
            f"{sums['samples'] / seconds:.1f} samples/s, {sums['tokens'] / seconds:.0f} tokens/s, "
            f"{sums['data'] / seconds:.1%} waiting for data, {peak_memory() / 1e9:.1f} GB at most"
        )
