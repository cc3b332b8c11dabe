"""Scores and differences with intervals over images and training seeds; what would settle a difference.

Images and seeds are both drawn by chance. What a score owes to its images is seen by bootstrap (`pargo.statistics`),
what it owes to its seeds from the variance between them. How far seeds differ from image to image is in both, so it is
taken out of the first. The sum is used as in a t interval with Satterthwaite's degrees of freedom, as seeds are few; no
interval is narrower than that over images. Satterthwaite (1946), Biometrics Bulletin 2, 110-114; components of
variance: Searle, Casella and McCulloch (1992), chapter 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pargo.errors import PargoError
from pargo.statistics import DIGITS, Estimate, Groups, bootstrap, bootstrap_p, mean_total, percentile_interval, total

NORMAL = 1.959963984540054  # standard errors on either side of a 95 % interval
SHARE = 0.975  # of a distribution, below the upper end of such an interval
MISSING = 0.05  # largest share of draws without a value that an interval may leave out
MAX_SEEDS, MAX_TIMES = 20, 64  # what `Difference.needed` looks through


class Seeds(NamedTuple):
    """Several seeds of one arm.

    Attributes:
        number: how many.
        variance: between their scores.
        own: the part of `variance` that images make: seeds err on different ones.
    """

    number: int
    variance: float
    own: float


class Spread(NamedTuple):
    """What a mean over seeds, or a difference of two, owes to chance.

    Attributes:
        images: variance that is due to images, and would be the same with other seeds.
        seeds: of each arm.
    """

    images: float
    seeds: tuple[Seeds, ...]

    def half_width(self) -> float:
        """The half width of a 95 % interval."""
        from scipy.special import stdtrit  # takes longer to import than a score takes

        variance, freedom = self._variance()
        error = math.sqrt(self._images_alone())
        return max(float(stdtrit(freedom, SHARE)) * math.sqrt(variance), NORMAL * error) if variance else 0.0

    def p(self, value: float) -> float:
        """Two-sided p value of zero, where `value` was found; below 0.05 where the interval excludes zero."""
        from scipy.special import ndtr, stdtr

        variance, freedom = self._variance()
        if not value:
            return 1.0
        if not variance:
            return 0.0
        by_images = float(ndtr(-abs(value) / error)) if (error := math.sqrt(self._images_alone())) else 0.0
        return 2 * max(float(stdtr(freedom, -abs(value) / math.sqrt(variance))), by_images)

    def with_more(self, seeds: int, times: int) -> Spread:
        """Were there so many seeds of each arm, and `times` as many images."""
        parts = (
            Seeds(seeds, max(0.0, part.variance - part.own) + part.own / times, part.own / times) for part in self.seeds
        )
        return Spread(self.images / times, tuple(parts))

    def _images_alone(self) -> float:
        """Variance over images of the mean of these very seeds."""
        return self.images + math.fsum(part.own / part.number for part in self.seeds)

    def _variance(self) -> tuple[float, float]:
        """The variance of the value, and its degrees of freedom; images are many, so their part counts as known."""
        parts = [(part.variance / part.number, part.number - 1) for part in self.seeds]
        variance = self.images + math.fsum(part for part, _ in parts)
        uncertain = math.fsum(part**2 / freedom for part, freedom in parts)
        return variance, variance**2 / uncertain if uncertain else math.inf


class Difference(NamedTuple):
    """A difference of mean scores, first minus second.

    Attributes:
        value: in the score's units.
        interval: 95 %, over images and, where both have several, over seeds.
        p: two-sided, of "no difference".
        spread: on the side of zero; None where one of them has a single seed: nobody knows what another would give.
    """

    value: float
    interval: tuple[float, float]
    p: float
    spread: Spread | None

    def needed(self, level: float) -> tuple[int, int] | None:
        """How many seeds of each, and how many times as many images, would give p below `level` in every second case.

        Were the difference and its spread as they were measured. As many images as now where seeds alone can settle it.
        None where nothing up to `MAX_SEEDS` and `MAX_TIMES` can, or where there are not several seeds.
        """
        if self.spread is None:
            return None
        first = max(part.number for part in self.spread.seeds)
        for times in (2**power for power in range(MAX_TIMES.bit_length())):
            for number in range(first + (times == 1), MAX_SEEDS + 1):
                if self.spread.with_more(number, times).p(self.value) < level:
                    return number, times
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
    return Estimate(mean_total(runs), _interval(runs, bootstrap(runs, samples, seed), bounds))


def estimate_defined(
    runs: Sequence[Groups], samples: int, seed: int = 0, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, tuple[float, float] | None]:
    """Like `estimate`, of ratios that have no value where their denominators sum to 0: such draws are left out.

    E.g. a precision has none where nothing was said. There is no interval (None) where more than one draw in twenty has
    no value: that of the others would not be about the images.
    """
    draws = bootstrap(runs, samples, seed, empty=math.nan)
    found = draws[~np.isnan(draws).any(1)]
    enough = len(found) >= (1 - MISSING) * len(draws)
    return mean_total(runs), _interval(runs, found, bounds) if enough else None


def difference(first: Sequence[Groups], second: Sequence[Groups], samples: int, seed: int = 0) -> Difference:
    """Mean score of the first runs minus that of the second.

    Both get the same draws of images, so what an image does to both cancels. Seeds are not paired: where a seed's order
    of samples moves two arms alike, the interval is rather too wide. Numbers of runs may differ. Where one of the two
    has a single run, interval and p value are about the images alone.

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
    images = percentile_interval(drawn)
    if min(len(first), len(second)) == 1:
        return Difference(value, images, bootstrap_p(drawn), None)
    low, high = _sides(value, images, (_seeds(first, ours), _seeds(second, others)))
    spread = low if value > 0 else high
    return Difference(value, (value - low.half_width(), value + high.half_width()), spread.p(value), spread)


def _interval(runs: Sequence[Groups], draws: np.ndarray, bounds: tuple[float, float]) -> tuple[float, float]:
    """The interval of a mean of runs, from [samples, runs] scores over drawn images."""
    images = percentile_interval(draws.mean(1))
    if len(runs) == 1:
        return images
    value = mean_total(runs)
    low, high = _sides(value, images, (_seeds(runs, draws),))
    return max(value - low.half_width(), bounds[0]), min(value + high.half_width(), bounds[1])


def _seeds(runs: Sequence[Groups], draws: np.ndarray) -> Seeds:
    """The seeds of several runs; `own` is what draws of images do to one run and not to another."""
    covariance, number = np.cov(draws, rowvar=False, bias=True), len(runs)
    alone = float(np.trace(covariance))
    common = (float(covariance.sum()) - alone) / (number * (number - 1))
    return Seeds(number, float(np.var([total(run) for run in runs], ddof=1)), max(0.0, alone / number - common))


def _sides(value: float, images: tuple[float, float], seeds: tuple[Seeds, ...]) -> tuple[Spread, Spread]:
    """The spread below and above a value, as an interval over images need not be even."""
    own = math.fsum(part.own / part.number for part in seeds)
    errors = (max(0.0, distance) / NORMAL for distance in (value - images[0], images[1] - value))
    below, above = (Spread(max(0.0, error**2 - own), seeds) for error in errors)
    return below, above
