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
from pargo.statistics import bootstrap, bootstrap_p, holm, mcnemar_p, percentile_interval, total
from tests.helpers.random_groups import groups_of


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


def test_draws_of_a_group_do_not_depend_on_the_others():
    groups = groups_of(0, 5, 9)
    alone = sum(bootstrap([{name: groups[name]}], 40) for name in sorted(groups))
    assert bootstrap([groups], 40) == pytest.approx(alone)


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
        bootstrap([], 10)


def test_percentile_interval():
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


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


def test_groups_may_share_a_part_of_their_images():
    first = {"1": (1.0, 1.0), "2": (0.0, 1.0), "3": (1.0, 1.0)}
    second = {"2": (0.0, 1.0), "3": (1.0, 1.0), "4": (1.0, 1.0)}
    groups = {"x": first, "y": second, "z": {"5": (1.0, 2.0), "6": (1.0, 2.0)}}
    found = bootstrap([groups], 4000).mean()
    assert found == pytest.approx(total(groups), abs=0.05)
    turned = {name: dict(reversed(groups[name].items())) for name in "zyx"}
    assert (bootstrap([turned], 50) == bootstrap([groups], 50)).all()
