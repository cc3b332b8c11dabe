"""Alignment: before pretraining, a projector's tokens are drawn towards the embeddings of the words of the caption.

No language model runs, so a sample costs a small part of one of pretraining. Which words stand in a caption is all that
is learnt here; what belongs to what, and in which order it is said, is left to pretraining.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pargo.config.training import Alignment
from pargo.data.template import IGNORE_INDEX, Encoded
from pargo.models.projectors.base import ProjectorBase
from pargo.train.data import TrainingData
from pargo.train.schedule import rise_and_cosine

SHARPNESS = 10.0  # of the soft maximum over an image's tokens
SCALE, BIAS = 8.0, -3.0  # of a word's logit at the start: most words are not in a caption
WORD_RATE = 0.02  # learning rate of both
REPORTS = 8


class Words(nn.Module):
    """How likely each word of the captions is seen in an image: the similarity of the token that is nearest to it.

    Args:
        embeddings: [V, D] of the words.
    """

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        # what all embeddings have in common tells no words apart
        self.register_buffer("mean", embeddings.mean(0))
        self.register_buffer("directions", F.normalize(embeddings - self.mean, dim=-1))
        self.scale = nn.Parameter(torch.tensor(SCALE))
        self.bias = nn.Parameter(torch.full((len(embeddings),), BIAS))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [B, V] of tokens [B, T, D]."""
        similarities = F.normalize(tokens - self.mean, dim=-1) @ self.directions.t()
        return self.scale * (similarities * SHARPNESS).logsumexp(1) / SHARPNESS + self.bias


def align(
    projector: ProjectorBase,
    embeddings: Tensor,
    data: TrainingData,
    alignment: Alignment,
    say: Callable[[str], None],
) -> None:
    """Train a new projector, in place, so that its tokens tell which words the caption has.

    The loss is the binary cross entropy of each word that any of the captions has: is it in this one?

    Args:
        projector: on the CPU.
        embeddings: [vocabulary, D] of the language model.
        data: captions with stored features; its first `num_samples` samples are drawn.
        alignment: settings.
        say: takes lines for the log.

    Raises:
        PargoError: a sample cannot be read.
    """
    captions = [words_of(data.text(index)) for index in range(alignment.num_samples)]
    known = sorted(set().union(*captions))
    place = {word: number for number, word in enumerate(known)}
    words = Words(embeddings[known].float())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in projector.parameters() if p.requires_grad], "lr": alignment.learning_rate},
            {"params": list(words.parameters()), "lr": WORD_RATE},
        ],
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    steps, losses = alignment.num_samples // alignment.batch_size, list[float]()
    say(f"alignment: {alignment.num_samples:,} samples in {steps:,} steps, {len(known):,} words")
    for step in range(steps):
        indices = range(step * alignment.batch_size, (step + 1) * alignment.batch_size)
        images = {index: image for index in indices if (image := data.image(index)) is not None}
        if not images:
            continue
        targets = torch.zeros(len(images), len(known))
        for row, index in enumerate(images):
            targets[row, [place[word] for word in captions[index]]] = 1.0
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * rise_and_cosine(step, steps)
        loss = F.binary_cross_entropy_with_logits(words(projector(torch.stack([*images.values()]).float())), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(projector.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // REPORTS) == 0 or step + 1 == steps:
            say(f"alignment: step {step + 1:,} of {steps:,}, loss {_mean(losses):.4f}")
            losses.clear()


def words_of(text: Encoded) -> frozenset[int]:
    """The tokens of a caption that are supervised, each once."""
    return frozenset(label for label in text.labels if label != IGNORE_INDEX)


def _mean(losses: Sequence[float]) -> float:
    return math.fsum(losses) / len(losses)
