"""Scores and differences with intervals over images and training seeds; what would settle a difference.

Images and seeds are both drawn by chance. What a score owes to its images is seen by bootstrap (`pargo.statistics`).
What it owes to its seeds is seen from their scores: the variance between them, less the part that the images make (how
far seeds differ image by image). Both are added as in a Welch-Satterthwaite t interval, as seeds are few: Satterthwaite
(1946), Biometrics Bulletin 2, 110-114; components of variance: Searle, Casella and McCulloch (1992), chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pargo.errors import PargoError
from pargo.statistics import (
    DIGITS,
    LEVEL,
    Estimate,
    Groups,
    bootstrap,
    bootstrap_p,
    mean_total,
    percentile_interval,
    total,
)

MISSING = 0.05  # largest share of draws without a value that an interval may leave out
MAX_SEEDS, MAX_TIMES = 20, 64  # what `Difference.needed` looks through


class Seeds(NamedTuple):
    """What one arm's score owes to its seeds: the variance of one seed's score, and how many seeds there are."""

    variance: float
    number: int


class Difference(NamedTuple):
    """A difference of mean scores, first minus second.

    Attributes:
        value: in the score's units.
        interval: 95 %, over images and, where both have several, over seeds.
        p: two-sided, of "no difference"; below 0.05 where the interval excludes zero.
        image_error: standard error of the value that is due to images, on the side of zero.
        seeds: of both; none where one of them has a single seed, as nobody knows then what another would give.
    """

    value: float
    interval: tuple[float, float]
    p: float
    image_error: float
    seeds: tuple[Seeds, ...]

    def needed(self, level: float) -> tuple[int, int] | None:
        """How many seeds each, and how many times as many images, would give a p value below `level`.

        Were the difference and the variances as they were measured: the chance that so many settle it is one half. As
        many images as now where seeds alone can settle it. None where nothing of up to `MAX_SEEDS` and `MAX_TIMES` can,
        or where there are not several seeds to tell.
        """
        if not self.seeds:
            return None
        times = 1
        while times <= MAX_TIMES:
            for number in range(2, MAX_SEEDS + 1):
                seeds = [Seeds(part.variance, number) for part in self.seeds]
                if _p(self.value, self.image_error / math.sqrt(times), seeds) < level:
                    return number, times
            times *= 2
        return None


def estimate(
    runs: Sequence[Groups], samples: int, seed: int = 0, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Mean score of one or several runs (seeds) over the same images, with its 95 % interval.

    Of one run it is the percentile bootstrap interval over images. Of several it holds the seeds too.

    Args:
        runs: a score of each, about the same images.
        samples: draws of images.
        seed: of the draws.
        bounds: the least and the largest score that there can be; an interval ends there.

    Raises:
        PargoError: no runs, or runs over different images.
    """
    draws = bootstrap(runs, samples, seed)
    value = mean_total(runs)
    interval = _interval(value, percentile_interval(draws.mean(1)), _seeds(runs, draws))
    return Estimate(value, _within(interval, bounds))


def estimate_defined(
    runs: Sequence[Groups], samples: int, seed: int = 0, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, tuple[float, float] | None]:
    """Like `estimate`, of ratios that have no value where their denominators sum to 0: such draws are left out.

    E.g. a precision has none where nothing was said. There is no interval (None) where more than one draw in twenty has
    no value: that of the others would not be about the images.
    """
    draws = bootstrap(runs, samples, seed, empty=math.nan)
    found, value = draws[~np.isnan(draws).any(1)], mean_total(runs)
    if len(found) < (1 - MISSING) * len(draws):
        return value, None
    return value, _within(_interval(value, percentile_interval(found.mean(1)), _seeds(runs, found)), bounds)


def difference(first: Sequence[Groups], second: Sequence[Groups], samples: int, seed: int = 0) -> Difference:
    """Mean score of the first runs minus that of the second.

    Both get the same draws of images, so what an image does to both cancels. Seeds are not paired: where two arms share
    a seed's order of samples, the interval is rather too wide than too narrow. Numbers of runs may differ. Where one of
    the two has a single run, interval and p value are about the images alone.

    Raises:
        PargoError: no runs, or any two runs are over different images.
    """
    if not first or not second:
        raise PargoError("no runs to compare")
    draws = bootstrap([*first, *second], samples, seed)
    ours, others = draws[:, : len(first)], draws[:, len(first) :]
    # rounded: equal scores that were summed in another order must differ by zero, or an interval would exclude it
    drawn = np.round(ours.mean(1) - others.mean(1), DIGITS)
    value = round(mean_total(first) - mean_total(second), DIGITS)
    seeds = (*_seeds(first, ours), *_seeds(second, others)) if min(len(first), len(second)) > 1 else ()
    low, high = percentile_interval(drawn)
    error = max(0.0, value - low if value > 0 else high - value) / _quantile(math.inf)
    p = bootstrap_p(drawn)
    if any(part.variance for part in seeds):
        p = max(_p(value, error, seeds), 2 / (1 + samples))  # as small as draws can show
    return Difference(value, _interval(value, (low, high), seeds), p, error, seeds)


def _seeds(runs: Sequence[Groups], draws: np.ndarray) -> tuple[Seeds, ...]:
    """The part of seeds, from [samples, runs] scores over drawn images; none where there is one seed.

    Seeds answer the same images and still differ from image to image. How much that moves a seed's score is what draws
    of two seeds do not have in common; it is in the interval over images already.
    """
    if len(runs) == 1:
        return ()
    covariance = np.cov(draws, rowvar=False, bias=True)
    number = len(runs)
    own = np.trace(covariance) / number
    common = (covariance.sum() - np.trace(covariance)) / (number * (number - 1))
    between = float(np.var([total(run) for run in runs], ddof=1))
    return (Seeds(max(0.0, between - max(0.0, float(own - common))), number),)


def _interval(value: float, images: tuple[float, float], seeds: Sequence[Seeds]) -> tuple[float, float]:
    """The interval over images, made wider by the seeds, each side by itself."""
    if not any(part.variance for part in seeds):
        return images
    low, high = (max(0.0, distance) / _quantile(math.inf) for distance in (value - images[0], images[1] - value))
    return value - _half_width(low, seeds), value + _half_width(high, seeds)


def _half_width(image_error: float, seeds: Sequence[Seeds]) -> float:
    variance, freedom = _combined(image_error, seeds)
    return _quantile(freedom) * math.sqrt(variance)


def _combined(image_error: float, seeds: Sequence[Seeds]) -> tuple[float, float]:
    """Variance of a mean, and its degrees of freedom; images are many, so their part counts as known."""
    parts = [(part.variance / part.number, part.number - 1) for part in seeds]
    variance = image_error**2 + math.fsum(part for part, _ in parts)
    uncertain = math.fsum(part**2 / freedom for part, freedom in parts)
    return variance, variance**2 / uncertain if uncertain else math.inf


def _p(value: float, image_error: float, seeds: Sequence[Seeds]) -> float:
    from scipy.special import ndtr, stdtr  # takes longer to import than a table

    variance, freedom = _combined(image_error, seeds)
    if not value:
        return 1.0
    if not variance:
        return 0.0
    t = -abs(value) / math.sqrt(variance)
    return 2 * float(ndtr(t) if math.isinf(freedom) else stdtr(freedom, t))


def _quantile(freedom: float) -> float:
    """How many standard errors a 95 % interval reaches to either side."""
    from scipy.special import ndtri, stdtrit

    share = (1 + LEVEL) / 2
    return float(ndtri(share) if math.isinf(freedom) else stdtrit(freedom, share))


def _within(interval: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in interval)
    return low, high
