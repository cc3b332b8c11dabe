"""Samples put together to tensors: right-padded, with the mask that hides the padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pargo.data.template import IGNORE_INDEX, Encoded


@dataclass(frozen=True)
class Sample:
    """One image's features [N, Dv] and the text after it."""

    features: Tensor
    text: Encoded


@dataclass(frozen=True)
class Batch:
    """Features [B, N, Dv] float32; `input_ids`, `labels` and `attention_mask` [B, L] int64."""

    features: Tensor
    input_ids: Tensor
    labels: Tensor
    attention_mask: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def collate(samples: Sequence[Sample]) -> Batch:
    """One batch of samples; padded positions have id 0, label `IGNORE_INDEX` and mask 0."""
    shape = len(samples), max(len(sample.text.input_ids) for sample in samples)
    input_ids = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORE_INDEX)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    for row, sample in enumerate(samples):
        length = len(sample.text.input_ids)
        input_ids[row, :length] = torch.tensor(sample.text.input_ids)
        labels[row, :length] = torch.tensor(sample.text.labels)
        attention_mask[row, :length] = 1
    return Batch(torch.stack([sample.features for sample in samples]).float(), input_ids, labels, attention_mask)


def num_supervised(samples: Sequence[Sample]) -> int:
    """Number of tokens that count in the loss."""
    return sum(label != IGNORE_INDEX for sample in samples for label in sample.text.labels)
