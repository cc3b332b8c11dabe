"""What a training tells a person who watches: what learns, on which data, how fast, how long still."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from pargo.config.training import Train
from pargo.train.cut import estimate, lines
from pargo.train.data import Steps, TrainingData

LOOKED_AT = 8  # steps, to tell how many tokens they have


def model_table(model: nn.Module) -> Iterator[str]:
    """Lines `[trainable|frozen] part: number of parameters`, trainable first, adapters apart from their model."""
    counts: dict[tuple[str, bool], int] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".", 1)[0] + (" (LoRA)" if "lora_" in name else "")
        key = part, parameter.requires_grad
        counts[key] = counts.get(key, 0) + parameter.numel()
    for (part, trainable), count in sorted(
        counts.items(), key=lambda item: (not item[0][1], "language_model" in item[0][0])
    ):
        yield f"{'[trainable]' if trainable else '[frozen]':<12}{part:<24}{count:>14,} parameters"


def data_table(data: TrainingData, train: Train) -> Iterator[str]:
    """Lines of dataset, number of its samples, share of the draws, and how often each sample is seen."""
    yield f"{'dataset':<16}{'samples':>10}{'share':>8}{'epochs':>8}"
    total = sum(data.weights.values())
    for name in sorted(data.weights):
        share, size = data.weights[name] / total, len(data.texts[name].ids)
        yield f"{name:<16}{size:>10,}{share:>8.0%}{share * train.num_samples / size:>8.2f}"
    yield f"{train.num_samples:,} samples in {train.num_steps:,} steps of {train.batch_size}"


def plan(steps: Steps, train: Train, attention: str) -> Iterator[str]:
    """Lines of how it is computed, and how many tokens a step has."""
    count = min(LOOKED_AT, train.num_steps)
    tokens = sum(sum(steps.lengths(step)) for step in range(count)) / count
    layout = "packed" if train.packing else "padded"
    yield f"about {tokens:,.0f} tokens a step ({layout}, image tokens included); attention: {attention}"


def cut(data: TrainingData, train: Train, num_image_tokens: int) -> Iterator[str]:
    """Lines of what `max_length` will cut off, by the first samples of each dataset; none without it."""
    if train.max_length is not None:
        yield from lines(estimate(data, train, num_image_tokens), train.max_length, "the first")
