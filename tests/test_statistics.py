"""Bootstrap by image: against exact probabilities and a plain re-implementation, its invariances, whether 95 % means
95 %; tests of differences: against numbers worked out by hand."""

import itertools
from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.errors import PargoError
from pargo.statistics import (
    Estimate,
    bootstrap,
    bootstrap_difference,
    bootstrap_p,
    difference,
    estimate,
    estimate_defined,
    holm,
    mcnemar_p,
    percentile_interval,
    total,
)


def groups_of(seed: int, *sizes: int, shift: float = 0.0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        f"task{number}": {
            f"{number}-{i:03d}": (float(rng.normal(shift)), float(rng.integers(1, 4))) for i in range(size)
        }
        for number, size in enumerate(sizes)
    }


def reordered(groups: dict) -> dict:
    return {group: dict(reversed(images.items())) for group, images in reversed(groups.items())}


def plain_bootstrap(runs: list[dict], samples: int, seed: int) -> np.ndarray:
    """[samples, runs] scores, image by image and draw by draw, in plain Python (another stream of random numbers)."""
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(samples):
        row = [0.0] * len(runs)
        for name in runs[0]:
            images = list(runs[0][name])
            drawn = [images[index] for index in rng.integers(len(images), size=len(images)).tolist()]
            for number, run in enumerate(runs):
                above, below = (sum(run[name][image][part] for image in drawn) for part in (0, 1))
                row[number] += above / below if below else 0.0
        scores.append(row)
    return np.array(scores)


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


def test_total_is_the_sum_of_ratios():
    assert total({"a": {"x": (1, 2), "y": (2, 2)}, "b": {"x": (5, 1)}}) == 0.75 + 5


def test_an_image_without_a_denominator_adds_nothing():
    """F1 as 2 TP / (2 TP + FP + FN): an image with nothing but right no's has 0 / 0."""
    assert total({"a": {"x": (2, 3), "y": (0, 0)}}) == pytest.approx(2 / 3)


def test_draws_have_the_exact_probabilities():
    """Three images of two runs, one of them 0 / 0: all 27 draws are equally likely, and both runs get the same."""
    first = {"x": (1.0, 2.0), "y": (3.0, 4.0), "z": (0.0, 0.0)}
    second = {"x": (5.0, 1.0), "y": (0.0, 1.0), "z": (2.0, 1.0)}
    expected: Counter = Counter()
    for drawn in itertools.product("xyz", repeat=3):
        above, below = (sum(first[image][part] for image in drawn) for part in (0, 1))
        ratios = (above / below if below else 0.0, sum(second[image][0] for image in drawn) / 3)
        expected[tuple(np.round(ratios, 9).tolist())] += 1 / 27
    samples = 50_000
    draws = np.round(bootstrap([{"g": first}, {"g": second}], samples), 9)
    found = Counter(map(tuple, draws.tolist()))
    assert found.keys() == expected.keys()
    for scores, probability in expected.items():
        error = (probability * (1 - probability) / samples) ** 0.5
        assert abs(found[scores] / samples - probability) < 5 * error


@pytest.mark.parametrize("number", [1, 3])
def test_draws_are_distributed_as_those_of_a_plain_reimplementation(number):
    """Means, spreads and correlations of runs, with groups of many kinds of image and of few."""
    rng = np.random.default_rng(5)
    base = {"few": rng.integers(3, size=40).astype(float), "many": rng.normal(size=25)}
    runs = [
        {
            group: {f"{i}": (float(value + (rng.random() < 0.3)), float(1 + i % 3)) for i, value in enumerate(values)}
            for group, values in base.items()
        }
        for _ in range(number)
    ]
    ours, plain = bootstrap(runs, 20_000), plain_bootstrap(runs, 3000, seed=3)
    spread = plain.std(0)
    assert ours.mean(0) == pytest.approx(plain.mean(0), abs=0.1 * spread.max())
    assert ours.std(0) == pytest.approx(spread, rel=0.08)
    assert np.corrcoef(ours.T) == pytest.approx(np.corrcoef(plain.T), abs=0.05)
    for quantile in (0.025, 0.5, 0.975):
        assert np.quantile(ours, quantile, 0) == pytest.approx(np.quantile(plain, quantile, 0), abs=0.2 * spread.max())


def test_large_groups_are_drawn_in_parts_with_the_same_result(monkeypatch):
    runs = [groups_of(1, 10)]
    whole = bootstrap(runs, 50)
    monkeypatch.setattr("pargo.statistics.CHUNK", 70)  # 7 draws of 10 images a part
    assert np.array_equal(bootstrap(runs, 50), whole)


def test_seeded_and_free_of_order():
    groups = groups_of(0, 5, 9, 3)
    first = estimate([groups], 100)
    assert first == estimate([groups], 100) == estimate([reordered(groups)], 100)
    assert first != estimate([groups], 100, seed=1)
    renamed = {task: {f"{task}/{image}": pair for image, pair in images.items()} for task, images in groups.items()}
    assert estimate([renamed], 100) == first
    assert first.value == pytest.approx(total(groups))
    assert first.interval[0] < first.value < first.interval[1]


def test_draws_of_a_group_do_not_depend_on_the_others():
    groups = groups_of(0, 5, 9)
    alone = sum(bootstrap([{name: groups[name]}], 40) for name in sorted(groups))
    assert bootstrap([groups], 40) == pytest.approx(alone)


def test_mean_over_seeds():
    runs = [groups_of(seed, 30) for seed in range(4)]
    mean = estimate(runs, 200)
    assert mean.value == pytest.approx(np.mean([total(run) for run in runs]))
    twice, once = estimate([runs[0], runs[0]], 200), estimate([runs[0]], 200)
    assert twice.value == once.value
    assert twice.interval == pytest.approx(once.interval)
    singles = [estimate([run], 200).interval for run in runs]
    assert mean.interval[1] - mean.interval[0] < min(high - low for low, high in singles)


def test_pairing_cancels_what_images_do_to_both():
    first = groups_of(0, 40, 40)
    second = {group: {image: (a - 0.5 * b, b) for image, (a, b) in images.items()} for group, images in first.items()}
    paired = difference([first], [second], 300)
    assert paired.value == pytest.approx(1.0)  # half a point in each of two groups, whatever is drawn
    assert paired.interval == pytest.approx((1.0, 1.0))
    assert difference([first], [reordered(first)], 50) == Estimate(0.0, (0.0, 0.0))


def test_difference_is_antisymmetric_and_takes_unequal_numbers_of_seeds():
    first, second = [groups_of(0, 20)], [groups_of(1, 20), groups_of(2, 20)]
    there, back = difference(first, second, 200), difference(second, first, 200)
    assert there.value == -back.value
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    draws = bootstrap_difference(first, second, 200)
    assert np.array_equal(draws, -bootstrap_difference(second, first, 200))
    assert there.interval == percentile_interval(draws)


def test_equal_scores_differ_by_zero_however_they_are_summed():
    first = {task: {"a": (value, 1.0)} for task, value in (("t0", 0.1), ("t1", 0.2), ("t2", 0.3))}
    second = {task: {"a": (value, 1.0)} for task, value in (("t0", 0.3), ("t1", 0.2), ("t2", 0.1))}
    assert bootstrap([first], 1)[0, 0] != bootstrap([second], 1)[0, 0]
    assert difference([first], [second], 10) == Estimate(0.0, (0.0, 0.0))


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


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "no groups"),
        ({"a": {}}, "'a' has no images"),
        ({"a": {"x": (0.0, 0.0), "y": (0, 0)}}, r"'a': the denominators of its 2 image\(s\) sum to 0"),
        ({"a": {"x": (1.0, 2.0), "y": (1.0, -1.0)}}, "image 'y': denominator -1.0"),
        ({"a": {"x": (1.0, 2.0), "y": (1.0, 0.0)}}, "image 'y': numerator 1.0 over denominator 0"),
        ({"a": {"x": (float("nan"), 2.0)}}, "image 'x': nan / 2.0 is not finite"),
        ({"a": {"x": (1.0, float("inf"))}}, "image 'x': 1.0 / inf is not finite"),
    ],
)
def test_nothing_to_divide_by(groups, message):
    with pytest.raises(PargoError, match=message):
        total(groups)
    with pytest.raises(PargoError, match="no runs"):
        estimate([], 10)


def test_percentile_interval():
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


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


# Tests of differences -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draws", "p"),
    [
        ([0.0] * 9, 1.0),  # equal runs: never 2
        ([1.0] * 99, 2 / 100),  # never 0
        ([-1.0] * 99, 2 / 100),
        ([-1.0] * 4 + [1.0] * 95, 2 * 5 / 100),
        ([-1.0] * 2 + [0.0] * 2 + [1.0] * 95, 2 * 5 / 100),  # a draw of zero is no evidence for either
        ([-1.0] * 50 + [1.0] * 49, 1.0),
    ],
)
def test_bootstrap_p(draws, p):
    assert bootstrap_p(np.array(draws)) == pytest.approx(p)


def test_bootstrap_p_agrees_with_the_interval_and_with_the_normal_test():
    """900 images, a difference of 2 standard errors: p is that of the normal distribution, 0.0455, and 0 is outside."""
    values = np.random.default_rng(0).normal(size=900)
    values = (values - values.mean()) / values.std() + 2 / 30
    first = {"a": {str(i): (float(value), 1.0) for i, value in enumerate(values)}}
    second = {"a": dict.fromkeys(first["a"], (0.0, 1.0))}
    draws = bootstrap_difference([first], [second], 20_000)
    assert bootstrap_p(draws) == pytest.approx(0.0455, abs=0.01)
    assert percentile_interval(draws)[0] > 0


def test_bootstrap_p_is_uniform_without_a_difference():
    """Of many comparisons of equally good models, about 5 % are below 0.05, and half are below 0.5."""
    rng, found = np.random.default_rng(3), []
    for experiment in range(400):
        marks = (rng.random((2, 80)) < 0.7).astype(float).tolist()
        first, second = ({"a": {str(i): (mark, 1.0) for i, mark in enumerate(run)}} for run in marks)
        found.append(bootstrap_p(bootstrap_difference([first], [second], 200, seed=experiment)))
    assert 0.02 <= np.mean(np.array(found) < 0.05) <= 0.085
    assert 0.38 <= np.mean(np.array(found) < 0.5) <= 0.58


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (0, 5, 2 / 32), (5, 0, 2 / 32), (1, 9, 2 * 11 / 1024), (10, 2, 2 * 79 / 4096)],
)
def test_mcnemar_p(only_first, only_second, p):
    assert mcnemar_p(only_first, only_second) == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=50)
def test_mcnemar_p_is_the_tail_of_fair_coins(only_first, only_second):
    number, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(comb(number, k) for k in range(fewer + 1)) / 2**number
    assert mcnemar_p(only_first, only_second) == pytest.approx(min(1.0, 2 * tail))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # x 4, 3, 2, 1 from the smallest; never falling
        ([0.5, 0.6, 0.01], [1.0, 1.0, 0.03]),
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
        ([0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_holm_by_hand(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)


P_VALUES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05, 1.0])), max_size=12)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_is_monotone_never_below_the_raw_value_and_free_of_order(p_values, random):
    adjusted = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    assert all(new <= min(1.0, len(p_values) * raw) for raw, new in zip(p_values, adjusted, strict=True))
    for (raw, new), (other_raw, other_new) in itertools.combinations(zip(p_values, adjusted, strict=True), 2):
        assert (new <= other_new) if raw < other_raw else (new >= other_new) if raw > other_raw else new == other_new
    order = list(range(len(p_values)))
    random.shuffle(order)
    assert holm([p_values[index] for index in order]) == [adjusted[index] for index in order]


@given(P_VALUES, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_rule_rejects(p_values, alpha):
    """Go up from the smallest p while p <= alpha / (number of those left); stop at the first that is above."""
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    assert rejected == {index for index, p in enumerate(holm(p_values)) if p <= alpha}


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_holm_refuses_what_is_no_probability(p):
    with pytest.raises(PargoError, match="p value"):
        holm([0.5, p])


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


def test_groups_may_share_a_part_of_their_images():
    first = {"1": (1.0, 1.0), "2": (0.0, 1.0), "3": (1.0, 1.0)}
    second = {"2": (0.0, 1.0), "3": (1.0, 1.0), "4": (1.0, 1.0)}
    groups = {"x": first, "y": second, "z": {"5": (1.0, 2.0), "6": (1.0, 2.0)}}
    found = bootstrap([groups], 4000).mean()
    assert found == pytest.approx(total(groups), abs=0.05)
    turned = {name: dict(reversed(groups[name].items())) for name in "zyx"}
    assert (bootstrap([turned], 50) == bootstrap([groups], 50)).all()
