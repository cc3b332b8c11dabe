"""Features in the loop: what the frozen vision tower sees in the pixels of a step."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pargo.data.template import IGNORE_INDEX
from pargo.errors import PargoError
from pargo.models.vision import VisionTower
from pargo.train.batch import Batch
from pargo.train.data import StepData


@torch.no_grad()
def encode(tower: VisionTower, data: StepData, device: torch.device, *, skip_bad: bool) -> StepData:
    """The step with features in place of pixels, rounded as stored ones are.

    Args:
        tower: on the device.
        data: of one rank.
        skip_bad: a sample whose features are not finite in float16 adds nothing to the loss and counts as bad.

    Raises:
        PargoError: there is such a sample, and it is not skipped.
    """
    batches, bad, first = [], [], 0
    for batch in data.batches:
        features = tower(batch.images.to(device)).half()
        names = data.names[first : first + len(features)]
        first += len(features)
        fine = features.isfinite().flatten(1).all(dim=1).tolist()
        broken = [row for row, whole in enumerate(fine) if not whole]
        if broken and not skip_bad:
            raise PargoError(f"sample {names[broken[0]]}: its features are not finite in float16")
        bad += [names[row] for row in broken if names[row] not in data.bad]
        batches.append(_without(replace(batch, images=features), broken))
    unanswered = [name for name in data.unanswered if name not in bad]
    supervised = sum(int((batch.labels != IGNORE_INDEX).sum()) for batch in batches)
    return replace(data, batches=batches, supervised=supervised, unanswered=unanswered, bad=[*data.bad, *bad])


def _without(batch: Batch, rows: list[int]) -> Batch:
    """Some of its samples keep their places, so that every rank makes the same passes, but add nothing to the loss."""
    images, labels = batch.images.clone(), batch.labels.clone()
    flat: Tensor = labels.view(-1)
    for row in rows:
        start, end = batch.segments.bounds[row]
        images[row] = 0.0
        flat[start:end] = IGNORE_INDEX
    return replace(batch, images=images, labels=labels)
