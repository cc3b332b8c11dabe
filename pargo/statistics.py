"""Bootstrap by image of scores, and tests of differences between models on the same images.

Images are drawn, not questions, since questions about one image stand and fall together. All scores here are a sum
over groups (tasks) of a ratio of sums over images, so one draw of images per group gives one score.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pargo.errors import PargoError

# group -> image -> (numerator, denominator); the score is the sum over groups of sum(numerators) / sum(denominators)
Groups = Mapping[str, Mapping[str, tuple[float, float]]]

LEVEL = 0.95
DIGITS = 9  # decimals of a difference: far below one answer, far above rounding errors
CHUNK = 1_000_000  # counts of images held in memory at once


class Estimate(NamedTuple):
    """A value and its 95 % interval (low, high)."""

    value: float
    interval: tuple[float, float]


def total(groups: Groups) -> float:
    """The score: over groups, the sum of their ratios. Does not depend on any order.

    An image may have the denominator 0 (it then adds nothing, as an image without any yes adds nothing to F1).

    Raises:
        PargoError: no groups, a group whose denominators sum to 0, an image with a denominator below zero, with
            another numerator than 0 over 0, or with numbers that are not finite.
    """
    _check(groups)
    ratios = (_ratio(list(images.values())) for images in groups.values())
    return math.fsum(ratios)


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return math.fsum(pair[0] for pair in pairs) / math.fsum(pair[1] for pair in pairs)


def mean_total(runs: Sequence[Groups]) -> float:
    """The mean score of one or several runs (seeds)."""
    return math.fsum(map(total, runs)) / len(runs)


def bootstrap(runs: Sequence[Groups], samples: int, seed: int = 0, *, empty: float = 0.0) -> np.ndarray:
    """[samples, runs] scores, each over images drawn with replacement within every group, the same for all runs.

    Groups that share images are drawn together: an image that is drawn counts in all of them. A ratio of a draw whose
    denominators sum to 0 counts as `empty`. The draws depend on `seed`, the groups' names and the values of their
    images: not on the order of groups, images or runs, nor on groups about other images.
    """
    _check_same(runs)
    scores = np.zeros((samples, len(runs)))
    for names in _sharing_images(runs[0]):
        rng = np.random.default_rng([seed, *"\0".join(names).encode()])
        ratios = _resample([run[name] for run in runs for name in names], samples, rng, empty)
        scores += ratios.reshape(samples, len(runs), len(names)).sum(2)
    return scores


def _sharing_images(groups: Groups) -> list[list[str]]:
    """The groups by name, those about the same images together."""
    sets: list[tuple[list[str], set[str]]] = []
    for name in sorted(groups):
        shared = [entry for entry in sets if not entry[1].isdisjoint(groups[name])]
        names = sorted([name, *(other for entry in shared for other in entry[0])])
        images = set(groups[name]).union(*(entry[1] for entry in shared))
        sets = [entry for entry in sets if entry not in shared] + [(names, images)]
    return [names for names, _ in sorted(sets, key=lambda entry: entry[0])]


def _resample(
    runs: Sequence[Mapping[str, tuple[float, float]]], samples: int, rng: np.random.Generator, empty: float
) -> np.ndarray:
    """[samples, runs] ratios over the same draws of all images; an image that a run lacks adds nothing to it.

    Images with the same values in all runs are alike, so how often each kind of image is drawn is all that matters:
    a multinomial draw over the few kinds, and not an index for every image.
    """
    images = sorted(set().union(*runs))
    columns = [tuple(run.get(image, (0.0, 0.0))[part] for image in images) for run in runs for part in (0, 1)]
    distinct = sorted(set(columns))  # so that the order of the runs does not matter, nor a run that is given twice
    kinds, counts = zip(*sorted(Counter(zip(*distinct, strict=True)).items()), strict=True)
    values, shares = np.array(kinds, dtype=float), np.array(counts) / len(images)  # [kinds, distinct], [kinds]
    place = {column: number for number, column in enumerate(distinct)}
    order = [place[column] for column in columns]
    step = max(1, CHUNK // len(kinds))
    ratios = []
    for start in range(0, samples, step):
        drawn = rng.multinomial(len(images), shares, size=min(step, samples - start))  # [step, kinds]
        # einsum, since sums by BLAS depend on the number of threads
        sums = np.einsum("sk,kd->sd", drawn, values)[:, order]
        above, below = sums[:, 0::2], sums[:, 1::2]
        ratios.append(np.divide(above, below, out=np.full_like(above, empty), where=below > 0))
    return np.concatenate(ratios)


def percentile_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The central interval that holds a share `level` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_p(draws: np.ndarray) -> float:
    """Two-sided p value of "no difference" from bootstrapped differences.

    Twice the smaller share of draws at or beyond zero, (1 + count) / (1 + draws) as in Davison and Hinkley (1997,
    chapter 4), at most 1. So it is never 0, and it is below 0.05 about when the 95 % percentile interval excludes 0.
    """
    count = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (1 + count) / (1 + len(draws)))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar p value from the questions that only one of two models answers right."""
    if only_first + only_second == 0:
        return 1.0
    from scipy.stats import binomtest  # takes longer to import than a score takes

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values (1979), in the order given: valid for any dependence between the tests.

    Raises:
        PargoError: a value outside [0, 1].
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise PargoError(f"p value {p}; it must be from 0 to 1")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _check(groups: Groups) -> None:
    if not groups:
        raise PargoError("no groups of images to score")
    for group, images in groups.items():
        if not images:
            raise PargoError(f"group {group!r} has no images")
        for image, (numerator, denominator) in images.items():
            if not (math.isfinite(numerator) and math.isfinite(denominator)):
                raise PargoError(f"group {group!r}, image {image!r}: {numerator} / {denominator} is not finite")
            if denominator < 0:
                raise PargoError(f"group {group!r}, image {image!r}: denominator {denominator}")
            if denominator == 0 and numerator != 0:
                raise PargoError(f"group {group!r}, image {image!r}: numerator {numerator} over denominator 0")
        if not any(denominator for _, denominator in images.values()):
            raise PargoError(f"group {group!r}: the denominators of its {len(images)} image(s) sum to 0")


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
