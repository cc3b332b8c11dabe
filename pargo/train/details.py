"""Details of a caption, each as one vector: what a projector's tokens are drawn to, and what stands in for an image.

A detail is what a caption says between two punctuation marks, such as `red square top left`. Its vector is the sum of
the embeddings of its words, so it tells which words belong together, and a language model can read them off it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_MARKS = re.compile(r"[.,:;!?]+(?:\s+|$)|\n")


def details_in(caption: str) -> list[str]:
    """What a caption says between punctuation marks, in order; `two shapes: red square top left, word cat.` has three.

    A mark inside a word or a number, as in `2.5`, parts nothing.
    """
    return [part for piece in _MARKS.split(caption) if (part := piece.strip())]


class DetailEmbeddings:
    """Vectors of all details that some captions have.

    What the words' embeddings have in common tells no details apart, so it counts once in a sum.

    Args:
        embeddings: [vocabulary, D] of the language model.
        details: the tokens of each detail, at least one.

    Attributes:
        vectors: [V, D], float32, in the order of `details`.
        scale: mean squared distance of a vector from what all have in common; distances are in this unit.
    """

    def __init__(self, embeddings: Tensor, details: Mapping[str, Sequence[int]]) -> None:
        self._place = {detail: place for place, detail in enumerate(details)}
        words = sorted(set().union(*details.values()))
        common = embeddings[words].float().mean(0)
        sums = [(embeddings[list(ids)].float() - common).sum(0) for ids in details.values()]
        self.vectors = common + torch.stack(sums)
        self.scale = (self.vectors - common).square().sum(1).mean().item() or 1.0

    def __len__(self) -> int:
        return len(self._place)

    def places(self, details: Sequence[str]) -> list[int]:
        """The places of details in `vectors`."""
        return [self._place[detail] for detail in details]

    def distances(self, tokens: Tensor) -> Tensor:
        """Squared distances [B, T, V] of tokens [B, T, D] to all details, in units of `scale`."""
        products = tokens @ self.vectors.t()
        squares = tokens.square().sum(-1, keepdim=True) - 2 * products + self.vectors.square().sum(1)
        return squares / self.scale
