"""Which sample is drawn when: the order of a run depends on the seed and the global sample index, and on nothing else.

Ranks, micro-batches, workers, the projector and resuming cannot change it, so arms see the same samples in the same
order, and a resumed run continues exactly where it was.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pargo.config.base import canonical_json
from pargo.errors import PargoError

CHUNK = 4096  # sample indices worked out at a time; no part of the order


class Draw(NamedTuple):
    """One drawn sample; `epoch` counts how often its dataset had been drawn completely before."""

    dataset: str
    sample_id: str
    epoch: int


def seed_of(*parts: str | int) -> int:
    """A 128-bit seed for a named purpose, e.g. `seed_of(0, "mixture")`; equal on all machines."""
    return int.from_bytes(hashlib.sha256(canonical_json(parts).encode()).digest()[:16], "little")


class Sampler:
    """The infinite order of a weighted mixture.

    Each index chooses its dataset with the given probabilities, independently; within a dataset every epoch is a new
    permutation of all its samples.

    Args:
        seed: of the run.
        ids: dataset name -> ids of its samples, in a fixed order.
        weights: dataset name -> weight; need not sum to one.

    Raises:
        PargoError: a dataset has no samples, or the names differ.
    """

    def __init__(self, seed: int, ids: Mapping[str, Sequence[str]], weights: Mapping[str, float]) -> None:
        if set(ids) != set(weights):
            raise PargoError(f"mixture names {sorted(weights)}, but the data given are {sorted(ids)}")
        empty = sorted(name for name in ids if not ids[name])
        if empty:
            raise PargoError(f"dataset without samples: {', '.join(empty)}")
        self._seed = seed
        self._names = sorted(weights)  # not the order in the config: that must not matter
        self._ids = ids
        total = sum(weights[name] for name in self._names)
        self._bounds = np.cumsum([weights[name] / total for name in self._names])[:-1]
        self._random = np.random.Generator(np.random.Philox(key=seed_of(seed, "mixture")))
        # numbers side by side, not objects: a long run draws millions, in every worker
        self._choices = array("i")  # of index i: which dataset
        self._ranks = array("q")  # of index i: how many draws of that dataset came before
        self._counts = [0] * len(self._names)
        self._permutations: dict[str, tuple[int, np.ndarray]] = {}

    def draw(self, index: int) -> Draw:
        """The sample with this global index, counted from zero."""
        while index >= len(self._choices):
            self._extend()
        name = self._names[self._choices[index]]
        epoch, place = divmod(self._ranks[index], len(self._ids[name]))
        return Draw(name, self._ids[name][self._permutation(name, epoch)[place]], epoch)

    def _extend(self) -> None:
        for choice in np.searchsorted(self._bounds, self._random.random(CHUNK), side="right").tolist():
            self._choices.append(choice)
            self._ranks.append(self._counts[choice])
            self._counts[choice] += 1

    def _permutation(self, name: str, epoch: int) -> np.ndarray:
        if self._permutations.get(name, (None,))[0] != epoch:
            # by its place among them, not by its name: that may change
            place = self._names.index(name)
            random = np.random.Generator(np.random.Philox(key=seed_of(self._seed, "order", place, epoch)))
            self._permutations[name] = epoch, random.permutation(len(self._ids[name]))
        return self._permutations[name][1]
