"""Intervals over images and seeds: whether 95 % means 95 %, by simulation; invariances; what settles a difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.errors import PargoError
from pargo.estimates import Difference, Seeds, Spread, difference, estimate, estimate_defined
from pargo.statistics import bootstrap, percentile_interval, total
from tests.helpers.random_groups import groups_of, reordered

EQUAL = 0.0, (0.0, 0.0), 1.0  # value, interval and p of a difference of equal scores


def test_draws_without_a_value_are_left_out():
    """Of four images one or two count: what is left is what a plain bootstrap of the draws that have them gives."""
    whole = groups_of(0, 40)
    assert estimate_defined([whole], 500) == estimate([whole], 500)
    some = {"a": {str(i): (1.0, 2.0) if i < 10 else (0.0, 0.0) for i in range(40)}}
    assert estimate([some], 2000).interval == estimate_defined([some], 2000)[1] == (0.5, 0.5)
    few = {"a": {str(i): (1.0, 2.0) if i < 4 else (0.0, 0.0) for i in range(40)}}  # (1 - 4/40)^40: one draw in 68
    assert estimate_defined([few], 2000) == (0.5, (0.5, 0.5))
    fewer = {"a": {str(i): (1.0, 2.0) if i < 2 else (0.0, 0.0) for i in range(40)}}  # one draw in 8
    assert estimate_defined([fewer], 2000) == (0.5, None)
    assert estimate([fewer], 2000).interval[0] == 0  # as ever, for scores of which 0 of 0 is nothing


def test_seeded_and_free_of_order():
    groups = groups_of(0, 5, 9, 3)
    first = estimate([groups], 100)
    assert first == estimate([groups], 100) == estimate([reordered(groups)], 100)
    assert first != estimate([groups], 100, seed=1)
    renamed = {task: {f"{task}/{image}": pair for image, pair in images.items()} for task, images in groups.items()}
    assert estimate([renamed], 100) == first
    assert first.value == pytest.approx(total(groups))
    assert first.interval[0] < first.value < first.interval[1]


def test_mean_over_seeds():
    runs = [groups_of(seed, 30) for seed in range(4)]
    mean = estimate(runs, 200)
    assert mean.value == pytest.approx(np.mean([total(run) for run in runs]))
    twice, once = estimate([runs[0], runs[0]], 200), estimate([runs[0]], 200)
    assert twice.value == once.value
    assert twice.interval == pytest.approx(once.interval)
    low, high = percentile_interval(bootstrap(runs, 200).mean(1))
    assert mean.interval[0] <= low < high <= mean.interval[1]


def test_pairing_cancels_what_images_do_to_both():
    first = groups_of(0, 40, 40)
    second = {group: {image: (a - 0.5 * b, b) for image, (a, b) in images.items()} for group, images in first.items()}
    paired = difference([first], [second], 300)
    assert paired.value == pytest.approx(1.0)  # half a point in each of two groups, whatever is drawn
    assert paired.interval == pytest.approx((1.0, 1.0))
    assert difference([first], [reordered(first)], 50)[:3] == EQUAL


def test_difference_is_antisymmetric_and_takes_unequal_numbers_of_seeds():
    first, second = [groups_of(0, 20)], [groups_of(1, 20), groups_of(2, 20)]
    there, back = difference(first, second, 200), difference(second, first, 200)
    assert there.value == -back.value
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.p == back.p
    drawn = bootstrap([*first, *second], 200)
    assert there.interval == pytest.approx(percentile_interval(drawn[:, 0] - drawn[:, 1:].mean(1)))
    assert there.spread is None  # nobody knows what another seed of the first would give


def test_equal_scores_differ_by_zero_however_they_are_summed():
    first = {task: {"a": (value, 1.0)} for task, value in (("t0", 0.1), ("t1", 0.2), ("t2", 0.3))}
    second = {task: {"a": (value, 1.0)} for task, value in (("t0", 0.3), ("t1", 0.2), ("t2", 0.1))}
    assert bootstrap([first], 1)[0, 0] != bootstrap([second], 1)[0, 0]
    assert difference([first], [second], 10)[:3] == EQUAL


def test_other_images_are_refused():
    with pytest.raises(PargoError, match=r"different images in group 'task0': 2 are not in both, e\.g\. '0-004'"):
        difference([groups_of(0, 4)], [groups_of(0, 6)], 10)
    with pytest.raises(PargoError, match="different groups: task1"):
        difference([groups_of(0, 4)], [groups_of(0, 4, 4)], 10)
    with pytest.raises(PargoError, match="different images"):
        estimate([groups_of(0, 4), groups_of(0, 6)], 10)
    for first, second in (([groups_of(0, 4)], []), ([], [groups_of(0, 4)])):
        with pytest.raises(PargoError, match="no runs to compare"):
            difference(first, second, 10)


def test_coverage():
    """Of many experiments about 95 % of the intervals hold the true score (MME's points of an image: 0, 50, 200)."""
    rng, points, chances = np.random.default_rng(0), np.array([0.0, 50.0, 200.0]), [0.2, 0.4, 0.4]
    truth, held, experiments = 2 * float(points @ chances), 0, 300
    for experiment in range(experiments):
        groups = {
            group: {str(i): (value, 1.0) for i, value in enumerate(rng.choice(points, size=50, p=chances).tolist())}
            for group in "ab"
        }
        low, high = estimate([groups], 300, seed=experiment).interval
        held += low <= truth <= high
    assert 0.91 <= held / experiments <= 0.98


def test_coverage_of_a_paired_difference_of_f1():
    """The same for the difference of two F1 on the same images, where a third of the images have 0 / 0.

    Each run finds one of two kinds of image with its own chance; F1 = 2 TP / (2 TP + FN) there, so the truth is known.
    """
    rng, held, experiments = np.random.default_rng(1), 0, 300
    chances = (0.8, 0.65)
    truth = 2 * chances[0] / (1 + chances[0]) - 2 * chances[1] / (1 + chances[1])
    for experiment in range(experiments):
        positive = rng.random(150) < 2 / 3
        runs = []
        for chance in chances:
            hits = (rng.random(150) < chance).tolist()
            pairs = [(2.0 * hit, 1.0 + hit) if yes else (0.0, 0.0) for hit, yes in zip(hits, positive, strict=True)]
            runs.append({"f1": {str(i): pair for i, pair in enumerate(pairs)}})
        low, high = difference([runs[0]], [runs[1]], 300, seed=experiment).interval
        held += low <= truth <= high
    assert 0.91 <= held / experiments <= 0.98


def test_bootstrap_p_agrees_with_the_interval_and_with_the_normal_test():
    """900 images, a difference of 2 standard errors: p is that of the normal distribution, 0.0455, and 0 is outside."""
    values = np.random.default_rng(0).normal(size=900)
    values = (values - values.mean()) / values.std() + 2 / 30
    first = {"a": {str(i): (float(value), 1.0) for i, value in enumerate(values)}}
    second = {"a": dict.fromkeys(first["a"], (0.0, 1.0))}
    found = difference([first], [second], 20_000)
    assert found.p == pytest.approx(0.0455, abs=0.01)
    assert found.interval[0] > 0


def test_bootstrap_p_is_uniform_without_a_difference():
    """Of many comparisons of equally good models, about 5 % are below 0.05, and half are below 0.5."""
    rng, found = np.random.default_rng(3), []
    for experiment in range(400):
        marks = (rng.random((2, 80)) < 0.7).astype(float).tolist()
        first, second = ({"a": {str(i): (mark, 1.0) for i, mark in enumerate(run)}} for run in marks)
        found.append(difference([first], [second], 200, seed=experiment).p)
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.085
    assert 0.38 <= np.mean(np.array(found) < 0.5) <= 0.58


def test_groups_about_the_same_images_are_drawn_together():
    """Three equal groups say no more than one of them: their mean has the interval of one."""
    rng = np.random.default_rng(0)
    images = {f"{number:03d}": (float(rng.random() < 0.6), 1.0) for number in range(80)}
    one = estimate([{"a": images}], 2000).interval
    shares = {image: (numerator / 3, denominator) for image, (numerator, denominator) in images.items()}
    same = estimate([{"a": shares, "b": shares, "c": shares}], 2000).interval
    assert same == pytest.approx(one, abs=0.02)
    apart = {name: {f"{name}{image}": pair for image, pair in shares.items()} for name in "abc"}
    low, high = estimate([apart], 2000).interval
    assert (high - low) < 0.75 * (one[1] - one[0])  # 240 images say more


# Seeds ----------------------------------------------------------------------------------------------------------------


def runs_of(rng, seeds, images, between, own):
    """Scores of two arms that are equally good, with effects of images, arms on images, seeds and seeds on images."""
    image = rng.normal(size=images)
    for number, spread in zip(seeds, between, strict=True):
        level = image + rng.normal(0, 0.3, images)
        scores = level + rng.normal(0, spread, (number, 1)) + rng.normal(0, own, (number, images))
        yield [{"a": {str(i): (value, 1.0) for i, value in enumerate(run.tolist())}} for run in scores]


@pytest.mark.parametrize(
    ("seeds", "between", "own"),
    [((3, 3), (0, 0), 0.5), ((3, 3), (0.1, 0.1), 0.5), ((10, 10), (0.4, 0.05), 0.5), ((2, 5), (0.05, 0.05), 1)],
)
def test_coverage_over_images_and_seeds(seeds, between, own):
    """Whatever the share of the seeds in what is not known, with arms that differ in it, and in the number of seeds.

    `bench.intervals` tells more of it, with more experiments.
    """
    rng, held, right, experiments = np.random.default_rng(sum(seeds)), 0, 0, 400
    for experiment in range(experiments):
        first, second = runs_of(rng, seeds, 60, between, own)
        found = difference(first, second, 300, seed=experiment)
        held += found.interval[0] <= 0 <= found.interval[1]
        right += found.p >= 0.05
    # 60 images and 300 draws take 0.01; the standard error of a share of 400 is 0.011. Two seeds tell too little.
    assert (0.92 if min(seeds) > 2 else 0.87) <= held / experiments <= 0.995
    assert held == right  # the interval and the p value say the same


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_coverage_of_a_mean_of_seeds(seeds, level):
    """Where images are all alike and where they are not, with seeds that differ."""
    rng, held, experiments = np.random.default_rng(seeds), 0, 400
    for experiment in range(experiments):
        image = rng.normal(size=60) * level
        scores = image + rng.normal(0, 0.15, (seeds, 1)) + rng.normal(0, 0.5, (seeds, 60))
        runs = [{"a": {str(i): (value, 1.0) for i, value in enumerate(run.tolist())}} for run in scores]
        low, high = estimate(runs, 300, seed=experiment).interval
        held += low <= 0 <= high
    assert 0.915 <= held / experiments <= 0.985


def test_totals_that_seeds_turn_round_decide_nothing():
    """684, 750, 684 points against 750, 684, 750, with the same answers wrong: intervals over images alone decided."""

    def run(right):
        return {"t": {str(i): (1000.0 if i < right else 0.0, 1.0) for i in range(1000)}}

    first, second = ([run(points) for points in totals] for totals in ((684, 750, 684), (750, 684, 750)))
    found = difference(first, second, 2000)
    assert found.value == -22
    drawn = bootstrap([*first, *second], 2000)
    assert percentile_interval(drawn[:, :3].mean(1) - drawn[:, 3:].mean(1))[1] < 0
    assert found.interval[0] < -80
    assert found.interval[1] > 40
    assert found.p > 0.4


@given(st.integers(0, 10**6), st.integers(2, 4), st.floats(0, 2))
def test_interval_and_p_value_agree(seed, seeds, between):
    first, second = runs_of(np.random.default_rng(seed), (seeds, 3), 25, (between, 0.2), 0.5)
    found = difference(first, second, 400)
    low, high = found.interval
    assert low <= found.value <= high
    assert (found.p < 0.05) == (low > 0 or high < 0)
    back = difference(second, first, 400)
    assert back.p == pytest.approx(found.p)
    assert back.interval == pytest.approx((-high, -low))


def test_seeds_widen_an_interval_and_never_narrow_it():
    for between in (0.0, 0.4):
        for runs in runs_of(np.random.default_rng(0), (3, 3), 50, (between, between), 0.5):
            low, high = percentile_interval(bootstrap(runs, 500).mean(1))
            found = estimate(runs, 500).interval
            assert found[0] <= low + 1e-9
            assert high - 1e-9 <= found[1]
            assert between == 0 or found[1] - found[0] > 1.2 * (high - low)


def test_an_interval_ends_where_scores_end():
    runs = [{"a": {str(i): (float(i >= wrong), 1.0) for i in range(60)}} for wrong in (1, 1, 20)]
    assert estimate(runs, 200).interval[1] > 1
    low, high = estimate(runs, 200, bounds=(0.0, 1.0)).interval
    assert 0 <= low < high == 1
    assert estimate_defined(runs, 200, bounds=(0.0, 1.0))[1] == (low, high)


def found_with(value, images, variance, own=0.0, seeds=3):
    """A difference of two arms that are alike."""
    return Difference(value, (0.0, 0.0), 1.0, Spread(images, (Seeds(seeds, variance, own),) * 2))


def test_what_would_settle_a_difference():
    """By hand: t of 2 (n - 1) degrees where all is due to seeds, the normal distribution where it is to images."""
    assert found_with(10.0, 0.0, 100.0).needed(0.05) == (9, 1)  # t is 2.121, and 2.120 is needed with 16 degrees
    assert found_with(10.0, 0.0, 100.0).needed(0.005)[0] > 9
    assert found_with(10.0, 100.0, 0.0).needed(0.05) == (3, 4)  # one standard error, then two
    assert found_with(-10.0, 100.0, 0.0).needed(0.05) == (3, 4)
    assert found_with(10.0, 0.0, 100.0, own=100.0).needed(0.05) == (9, 1)  # new seeds err on other images
    assert found_with(0.0, 1.0, 1.0).needed(0.05) is None
    assert found_with(1.0, 0.0, 10_000.0).needed(0.05) is None
    assert found_with(10.0, 0.0, 100.0, seeds=12).needed(0.05)[0] == 13  # more than there are
    uneven = Spread(0.0, (Seeds(3, 100.0, 100.0), Seeds(3, 0.0, 100.0)))  # a seed's variance is less than images make
    assert Difference(50.0, (0.0, 0.0), 0.01, uneven).needed(0.05 / 7)[0] > 3
    assert Difference(1.0, (-1.0, 3.0), 0.3, None).needed(0.05) is None  # one seed tells nothing of others


@pytest.mark.parametrize(("between", "own", "gain"), [(0.1, 0.5, 0.13), (0.0, 1.0, 0.2), (0.1, 0.0, 0.15)])
def test_what_settles_settles_about_every_second_time(between, own, gain):
    """Drawn anew with the numbers that were asked for, and the difference and variances that are the truth."""
    rng, images = np.random.default_rng(0), 50
    seeds = (Seeds(3, between**2 + own**2 / images, own**2 / images),) * 2
    number, times = Difference(gain, (0.0, 0.0), 1.0, Spread(2 * 0.3**2 / images, seeds)).needed(0.05)
    decided = 0
    for experiment in range(200):
        first, second = runs_of(rng, (number, number), images * times, (between, between), own)
        better = [{"a": {i: (value + gain, 1.0) for i, (value, _) in run["a"].items()}} for run in first]
        decided += difference(better, second, 200, seed=experiment).p < 0.05
    assert 0.38 <= decided / 200 <= 0.75  # whole seeds and doubled images may be more than just enough
