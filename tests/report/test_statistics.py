"""Bootstrap by image: against a plain re-implementation, its invariances, and whether 95 % means 95 %."""

import numpy as np
import pytest

from pargo.errors import PargoError
from pargo.report.statistics import Estimate, bootstrap, difference, estimate, percentile_interval, total


def groups_of(seed: int, *sizes: int, shift: float = 0.0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        f"task{number}": {f"{i:03d}": (float(rng.normal(shift)), float(rng.integers(1, 4))) for i in range(size)}
        for number, size in enumerate(sizes)
    }


def reordered(groups: dict) -> dict:
    return {group: dict(reversed(images.items())) for group, images in reversed(groups.items())}


def plain_bootstrap(runs: list[dict], samples: int, seed: int) -> list[float]:
    """The same draws, one by one, in plain Python."""
    names = sorted(runs[0])
    draws = {}
    for name in names:
        rng = np.random.default_rng([seed, *name.encode()])
        draws[name] = rng.integers(len(runs[0][name]), size=(samples, len(runs[0][name]))).tolist()
    scores = []
    for sample in range(samples):
        score = 0.0
        for run in runs:
            for name in names:
                images = sorted(run[name])
                pairs = [run[name][images[index]] for index in draws[name][sample]]
                score += sum(pair[0] for pair in pairs) / sum(pair[1] for pair in pairs)
        scores.append(score / len(runs))
    return scores


def test_total_is_the_sum_of_ratios():
    assert total({"a": {"x": (1, 2), "y": (2, 2)}, "b": {"x": (5, 1)}}) == 0.75 + 5


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_draws_equal_a_plain_reimplementation(seeds):
    runs = [
        {
            group: {image: (values[0] + seed, values[1]) for image, values in images.items()}
            for group, images in groups_of(5, 4, 7).items()
        }
        for seed in seeds
    ]
    assert bootstrap(runs, 30, seed=3) == pytest.approx(plain_bootstrap(runs, 30, seed=3))


def test_large_groups_are_drawn_in_parts_with_the_same_result(monkeypatch):
    runs = [groups_of(1, 10)]
    whole = bootstrap(runs, 50)
    monkeypatch.setattr("pargo.report.statistics.CHUNK", 70)
    assert np.array_equal(bootstrap(runs, 50), whole)


def test_seeded_and_free_of_order():
    groups = groups_of(0, 5, 9, 3)
    first = estimate([groups], 100)
    assert first == estimate([groups], 100) == estimate([reordered(groups)], 100)
    assert first != estimate([groups], 100, seed=1)
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


def test_equal_scores_differ_by_zero_however_they_are_summed():
    first = {task: {"a": (value, 1.0)} for task, value in (("t0", 0.1), ("t1", 0.2), ("t2", 0.3))}
    second = {task: {"a": (value, 1.0)} for task, value in (("t0", 0.3), ("t1", 0.2), ("t2", 0.1))}
    assert bootstrap([first], 1) != bootstrap([second], 1)
    assert difference([first], [second], 10) == Estimate(0.0, (0.0, 0.0))


def test_other_images_are_refused():
    with pytest.raises(PargoError, match=r"different images in group 'task0': 2 are not in both, e\.g\. '004'"):
        difference([groups_of(0, 4)], [groups_of(0, 6)], 10)
    with pytest.raises(PargoError, match="different groups: task1"):
        difference([groups_of(0, 4)], [groups_of(0, 4, 4)], 10)
    with pytest.raises(PargoError, match="different images"):
        estimate([groups_of(0, 4), groups_of(0, 6)], 10)


@pytest.mark.parametrize(
    ("groups", "message"),
    [({}, "no groups"), ({"a": {}}, "'a' has no images"), ({"a": {"x": (1.0, 0.0)}}, "image 'x': denominator 0")],
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
