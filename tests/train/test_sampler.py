"""The order of samples is a function of (seed, index) alone."""

from collections import Counter

import pytest

from pargo.errors import PargoError
from pargo.train.sampler import CHUNK, Draw, Sampler

IDS = {"a": [f"a{i}" for i in range(10)], "b": [f"b{i}" for i in range(7)]}
WEIGHTS = {"a": 3.0, "b": 1.0}
GOLDEN = ["a2", "a5", "a6", "a9", "a1", "a8", "b3", "a0"]


def order(sampler: Sampler, count: int) -> list[Draw]:
    return [sampler.draw(index) for index in range(count)]


def test_the_order_never_changes():
    # golden: a new version of a library must not draw other samples unnoticed
    assert [draw.sample_id for draw in order(Sampler(0, IDS, WEIGHTS), 8)] == GOLDEN


def test_any_access_pattern_gives_the_same_samples():
    expected = order(Sampler(3, IDS, WEIGHTS), 200)
    for world_size in (2, 4):  # each rank reads its own part only, with a sampler of its own
        ranks = [Sampler(3, IDS, WEIGHTS) for _ in range(world_size)]
        assert [ranks[index % world_size].draw(index) for index in range(200)] == expected
    late = Sampler(3, IDS, WEIGHTS)  # resumed: starts in the middle, even beyond a chunk
    assert [late.draw(index) for index in range(150, 200)] == expected[150:]
    assert Sampler(3, IDS, WEIGHTS).draw(CHUNK + 5) == order(Sampler(3, IDS, WEIGHTS), CHUNK + 6)[-1]


def test_names_may_come_in_any_order():
    swapped = Sampler(0, dict(reversed(IDS.items())), dict(reversed(WEIGHTS.items())))
    assert order(swapped, 50) == order(Sampler(0, IDS, WEIGHTS), 50)


def test_other_names_in_the_same_order_draw_the_same():
    named = Sampler(0, {"captions": IDS["a"], "more": IDS["b"]}, {"captions": 3.0, "more": 1.0})
    assert [draw.sample_id for draw in order(named, 50)] == [
        draw.sample_id for draw in order(Sampler(0, IDS, WEIGHTS), 50)
    ]


def test_datasets_of_one_mixture_have_orders_of_their_own():
    same = Sampler(0, {"a": IDS["a"], "b": IDS["a"]}, {"a": 1.0, "b": 1.0})
    draws = order(same, 200)
    first, second = ([draw.sample_id for draw in draws if draw.dataset == name][:10] for name in "ab")
    assert first != second


def test_seeds_differ():
    assert order(Sampler(0, IDS, WEIGHTS), 20) != order(Sampler(1, IDS, WEIGHTS), 20)


def test_every_epoch_is_a_new_permutation():
    draws = [draw for draw in order(Sampler(0, IDS, WEIGHTS), 400) if draw.dataset == "b"]
    epochs = [[draw.sample_id for draw in draws[start : start + 7]] for start in range(0, 70, 7)]
    assert all(sorted(epoch) == IDS["b"] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 10
    assert [draw.epoch for draw in draws[:14]] == [0] * 7 + [1] * 7


def test_shares_follow_the_weights():
    counts = Counter(draw.dataset for draw in order(Sampler(0, IDS, WEIGHTS), 8000))
    assert counts["a"] / 8000 == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("ids", "message"), [({"a": ["x"]}, "mixture names"), ({"a": ["x"], "b": []}, "without samples: b")]
)
def test_what_cannot_be_drawn_is_refused(ids, message):
    with pytest.raises(PargoError, match=message):
        Sampler(0, ids, WEIGHTS)
