"""Samples put together to tensors, padded on the right, where no token sees the padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded, expand_images


@dataclass(frozen=True)
class Sample:
    """One image's features [N, Dv] and the text around it."""

    features: Tensor
    text: Encoded


@dataclass(frozen=True)
class Batch:
    """Features [B, N, Dv] float32; `input_ids` and `labels` [B, L] int64, label i for id i."""

    features: Tensor
    input_ids: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def collate(samples: Sequence[Sample], *, num_image_tokens: int, image_token_id: int) -> Batch:
    """One batch of samples; an image's tokens stand in place of its placeholder, padding has id 0, both no label."""
    rows = [expand_images(sample.text.input_ids, [image_token_id] * num_image_tokens) for sample in samples]
    length = max(map(len, rows))
    input_ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORE_INDEX)
    for index, (row, sample) in enumerate(zip(rows, samples, strict=True)):
        input_ids[index, : len(row)] = torch.tensor(row)
        # where a placeholder became many tokens, its label did too
        pairs = zip(sample.text.input_ids, sample.text.labels, strict=True)
        wide = [label for token, label in pairs for _ in range(num_image_tokens if token == IMAGE else 1)]
        labels[index, : len(row)] = torch.tensor(wide)
    return Batch(torch.stack([sample.features for sample in samples]).float(), input_ids, labels)


def num_supervised(samples: Sequence[Sample]) -> int:
    """Number of tokens that count in the loss."""
    return sum(label != IGNORE_INDEX for sample in samples for label in sample.text.labels)
