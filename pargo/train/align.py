"""Alignment: before pretraining, a projector's tokens are drawn to the details of the caption.

No language model runs, so a sample costs a small part of one of pretraining. What is seen is learnt here, and what
belongs to what; how it is said, and in which order, is left to pretraining.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pargo.config.training import Alignment
from pargo.data.pieces import text_tokenizer
from pargo.data.template import IGNORE_INDEX, Encoded
from pargo.errors import PargoError
from pargo.models.projectors.base import ProjectorBase
from pargo.train.data import TrainingData
from pargo.train.details import DetailEmbeddings, details_in
from pargo.train.schedule import rise_and_cosine

SHARPNESS = 5.0  # of the soft minimum over an image's tokens
SCALE, MARGIN = 10.0, 0.3  # at the start: a detail is as likely as not where a token is as near as this
DETAIL_RATE = 0.02  # learning rate of both
PULL = 0.03  # weight of the loss that leaves no token far from all that is in the image
REPORTS = 8


class Detector(nn.Module):
    """How likely each detail is in an image, by the token that is nearest to it.

    Args:
        details: of all captions.
    """

    def __init__(self, details: DetailEmbeddings) -> None:
        super().__init__()
        self._details = details
        self.scale = nn.Parameter(torch.tensor(SCALE))
        # one for all details: what is near to them has to mean the same, as the language model sees nothing but vectors
        self.margin = nn.Parameter(torch.tensor(MARGIN))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, V] and distances [B, T, V] of tokens [B, T, D]."""
        distances = self._details.distances(tokens)
        nearest = -(-distances * SHARPNESS).logsumexp(1) / SHARPNESS
        return self.scale * (self.margin - nearest), distances

    def loss(self, tokens: Tensor, there: Tensor) -> Tensor:
        """The binary cross entropy of each detail, and for each token its distance from the nearest that is there.

        Args:
            tokens: [B, T, D].
            there: [B, V], 1 for each detail that is in the image, else 0; at least one in each image.
        """
        logits, distances = self(tokens)
        missing = (there == 0).unsqueeze(1)
        pull = distances.masked_fill(missing, math.inf).amin(2).mean()
        return F.binary_cross_entropy_with_logits(logits, there) + PULL * pull


def align(
    projector: ProjectorBase,
    tokenizer: Any,
    embeddings: Tensor,
    data: TrainingData,
    alignment: Alignment,
    say: Callable[[str], None],
) -> None:
    """Train a new projector, in place, so that its tokens tell the details of the caption.

    The loss is that of `Detector`, over each detail that any of the captions has.

    Args:
        projector: on the CPU.
        tokenizer: of the language model.
        embeddings: [vocabulary, D] of the language model.
        data: captions with stored features; its first `num_samples` samples are drawn.
        alignment: settings.
        say: takes lines for the log.

    Raises:
        PargoError: a sample cannot be read, or no caption has a detail.
    """
    captions = [details_in(caption_of(tokenizer, data.text(index))) for index in range(alignment.num_samples)]
    known = sorted(set().union(*captions))
    if not known:
        raise PargoError("alignment: none of the captions has words between its punctuation marks")
    plain = text_tokenizer(tokenizer).plain
    details = DetailEmbeddings(embeddings, {detail: plain(f" {detail}") for detail in known})
    detector = Detector(details)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in projector.parameters() if p.requires_grad], "lr": alignment.learning_rate},
            {"params": list(detector.parameters()), "lr": DETAIL_RATE},
        ],
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    steps, losses = alignment.num_samples // alignment.batch_size, list[float]()
    say(f"alignment: {alignment.num_samples:,} samples in {steps:,} steps, {len(known):,} details")
    for step in range(steps):
        indices = range(step * alignment.batch_size, (step + 1) * alignment.batch_size)
        told = [index for index in indices if captions[index]]
        images = {index: image for index in told if (image := data.image(index)) is not None}
        if not images:
            continue
        there = torch.zeros(len(images), len(known))
        for row, index in enumerate(images):
            there[row, details.places(captions[index])] = 1.0
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * rise_and_cosine(step, steps)
        loss = detector.loss(projector(torch.stack([*images.values()]).float()), there)
        loss.backward()
        nn.utils.clip_grad_norm_(projector.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // REPORTS) == 0 or step + 1 == steps:
            say(f"alignment: step {step + 1:,} of {steps:,}, loss {_mean(losses):.4f}")
            losses.clear()


def caption_of(tokenizer: Any, text: Encoded) -> str:
    """What is supervised of a sample."""
    return tokenizer.decode([label for label in text.labels if label != IGNORE_INDEX])


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)
