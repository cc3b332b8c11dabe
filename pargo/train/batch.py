"""Samples put together to tensors: in one row without padding, or in rows padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded, expand_images
from pargo.models.segments import Segments


@dataclass(frozen=True)
class Sample:
    """One image, as stored features [N, Dv] or as pixels [3, H, W], and the text around it."""

    name: str
    image: Tensor
    text: Encoded


@dataclass(frozen=True)
class Batch:
    """The samples of one forward pass of the model.

    Attributes:
        images: features [B, N, Dv], or pixels [B, 3, H, W]; float32, or float16 where the loop computed them.
        input_ids: int64 [1, T] with samples one after the other, or [B, L] padded with id 0.
        labels: what each token predicts, in the same shape; `IGNORE_INDEX` where nothing is supervised.
        segments: samples (or padded rows) as parts of all tokens in a row.
    """

    images: Tensor
    input_ids: Tensor
    labels: Tensor
    segments: Segments

    @property
    def position_ids(self) -> Tensor:
        """int64, from zero in every sample; in the shape of `input_ids`."""
        return self.segments.position_ids.view(self.input_ids.shape)

    def to(self, device: torch.device) -> Batch:
        """A copy of the batch on a device."""
        images, input_ids, labels = (tensor.to(device) for tensor in (self.images, self.input_ids, self.labels))
        return Batch(
            images, input_ids, labels, self.segments._replace(position_ids=self.segments.position_ids.to(device))
        )


def collate(samples: Sequence[Sample], *, num_image_tokens: int, image_token_id: int, packing: bool) -> Batch:
    """One batch of samples; an image's tokens stand in place of its placeholder and have no label."""
    rows = [expand_images(sample.text.input_ids, [image_token_id] * num_image_tokens) for sample in samples]
    targets = []
    for sample in samples:
        # where a placeholder became many tokens, its label did too
        pairs = zip(sample.text.input_ids, sample.text.labels, strict=True)
        wide = [label for token, label in pairs for _ in range(num_image_tokens if token == IMAGE else 1)]
        targets.append(wide[1:])
    # the last token of a sample predicts nothing
    rows = [row[:-1] for row in rows]
    lengths = [len(row) for row in rows]
    if not packing:
        longest = max(lengths)
        rows = [row + [0] * (longest - len(row)) for row in rows]
        targets = [row + [IGNORE_INDEX] * (longest - len(row)) for row in targets]
        lengths = [longest] * len(rows)
    shape = (1, -1) if packing else (len(rows), -1)
    return Batch(
        torch.stack([sample.image for sample in samples]).float(),
        torch.tensor([token for row in rows for token in row]).view(shape),
        torch.tensor([label for row in targets for label in row]).view(shape),
        Segments.of(lengths),
    )


def num_supervised(text: Encoded) -> int:
    """Number of tokens that count in the loss: the first one is not predicted by any."""
    return sum(label != IGNORE_INDEX for label in text.labels[1:])


def length(text: Encoded, num_image_tokens: int) -> int:
    """Tokens of a sample with its image."""
    return len(text.input_ids) + (num_image_tokens - 1) * text.input_ids.count(IMAGE)


def truncate(text: Encoded, max_length: int, num_image_tokens: int) -> Encoded:
    """The text cut at its end, so that it has at most `max_length` tokens with its image, and whole if it fits."""
    kept = used = 0
    for token in text.input_ids:
        used += num_image_tokens if token == IMAGE else 1
        if used > max_length:
            break
        kept += 1
    return Encoded(text.input_ids[:kept], text.labels[:kept])
