"""Bootstrap by image: intervals of scores, and of differences between two models on the same images.

Images are drawn, not questions, since questions about one image stand and fall together. All scores here are a sum
over groups (tasks) of a ratio of sums over images, so one draw of images per group gives one score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pargo.errors import PargoError

# group -> image -> (numerator, denominator); the score is the sum over groups of sum(numerators) / sum(denominators)
Groups = Mapping[str, Mapping[str, tuple[float, float]]]

LEVEL = 0.95
DIGITS = 9  # decimals of a difference: far below one answer, far above rounding errors
CHUNK = 1_000_000  # drawn images held in memory at once


class Estimate(NamedTuple):
    """A value and its 95 % interval (low, high)."""

    value: float
    interval: tuple[float, float]


def total(groups: Groups) -> float:
    """The score: over groups, the sum of their ratios. Does not depend on any order.

    Raises:
        PargoError: no groups, a group without images, or an image whose denominator is not above zero.
    """
    _check(groups)
    ratios = (_ratio(list(images.values())) for images in groups.values())
    return math.fsum(ratios)


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return math.fsum(pair[0] for pair in pairs) / math.fsum(pair[1] for pair in pairs)


def mean_total(runs: Sequence[Groups]) -> float:
    """The mean score of one or several runs (seeds)."""
    return math.fsum(map(total, runs)) / len(runs)


def estimate(runs: Sequence[Groups], samples: int, seed: int = 0) -> Estimate:
    """Mean score of one or several runs (seeds) over the same images, with its percentile bootstrap interval.

    Every draw takes the same images in all runs and averages the runs, so the interval is about the images; it does
    not contain the spread over seeds.

    Raises:
        PargoError: no runs, or runs over different images.
    """
    draws = bootstrap(runs, samples, seed)
    return Estimate(mean_total(runs), percentile_interval(draws))


def difference(first: Sequence[Groups], second: Sequence[Groups], samples: int, seed: int = 0) -> Estimate:
    """Mean score of the first runs minus that of the second, with its paired bootstrap interval.

    Both get the same draws of images, so what an image does to both cancels. The numbers of runs may differ.

    Raises:
        PargoError: no runs, or any two runs are over different images.
    """
    _check_same([*first, *second])
    # rounded: equal scores that were summed in another order must differ by zero, or an interval would exclude it
    draws = np.round(bootstrap(first, samples, seed) - bootstrap(second, samples, seed), DIGITS)
    return Estimate(round(mean_total(first) - mean_total(second), DIGITS), percentile_interval(draws))


def bootstrap(runs: Sequence[Groups], samples: int, seed: int = 0) -> np.ndarray:
    """[samples] mean scores of the runs, each over images drawn with replacement within every group.

    The draws of a group depend on `seed`, its name and its number of images alone: not on the order of groups or
    images, nor on the other groups.
    """
    _check_same(runs)
    scores = np.zeros(samples)
    for group in sorted(runs[0]):
        scores += _resample([run[group] for run in runs], samples, np.random.default_rng([seed, *group.encode()]))
    return scores


def _resample(runs: Sequence[Mapping[str, tuple[float, float]]], samples: int, rng: np.random.Generator) -> np.ndarray:
    images = sorted(runs[0])
    values = np.array([[run[image] for image in images] for run in runs])  # [runs, images, 2]
    numerators, denominators = values[..., 0], values[..., 1]
    step = max(1, CHUNK // (len(images) * len(runs)))
    scores = []
    for start in range(0, samples, step):
        drawn = rng.integers(len(images), size=(min(step, samples - start), len(images)))
        scores.append((numerators[:, drawn].sum(-1) / denominators[:, drawn].sum(-1)).mean(0))
    return np.concatenate(scores)


def percentile_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The central interval that holds a share `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check(groups: Groups) -> None:
    if not groups:
        raise PargoError("no groups of images to score")
    for group, images in groups.items():
        if not images:
            raise PargoError(f"group {group!r} has no images")
        for image, (_, denominator) in images.items():
            if denominator <= 0:
                raise PargoError(f"group {group!r}, image {image!r}: denominator {denominator}")


def _check_same(runs: Sequence[Groups]) -> None:
    if not runs:
        raise PargoError("no runs to estimate a score from")
    for run in runs:
        _check(run)
    for run in runs[1:]:
        if run.keys() != runs[0].keys():
            raise PargoError(f"runs over different groups: {', '.join(sorted(run.keys() ^ runs[0].keys()))}")
        for group, images in run.items():
            if other := sorted(images.keys() ^ runs[0][group].keys()):
                raise PargoError(
                    f"runs over different images in group {group!r}: {len(other)} are not in both, e.g. {other[0]!r}"
                )
