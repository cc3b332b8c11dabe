"""Work shared by threads: every item once, items taken as they are needed, the first error ends it."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.remote.threads import in_threads


@given(st.lists(st.integers()), st.integers(1, 8))
def test_every_item_gives_one_result(items, number):
    assert sorted(in_threads(lambda item: 2 * item, items, number)) == sorted(2 * item for item in items)


def test_items_are_taken_when_a_thread_is_free():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = in_threads(lambda item: time.sleep(0.02), items(), 3)
    next(results)
    assert len(taken) < 20
    results.close()


def test_as_many_at_once_as_threads():
    barrier = threading.Barrier(4, timeout=10)
    assert len(list(in_threads(lambda item: barrier.wait(), range(8), 4))) == 8


@pytest.mark.parametrize("broken", ["work", "items"])
def test_the_first_error_is_raised(broken):
    def items():
        yield 1
        if broken == "items":
            raise OSError("no more items")

    def work(item):
        if broken == "work":
            raise OSError("no more items")
        return item

    with pytest.raises(OSError, match="no more items"):
        list(in_threads(work, items(), 2))


def test_a_thread_that_hangs_keeps_no_error_waiting():
    hanging = threading.Event()

    def work(item):
        if item == 0:
            hanging.wait(60)
        raise OSError("failed")

    started = time.monotonic()
    with pytest.raises(OSError, match="failed"):
        list(in_threads(work, range(2), 2))
    assert time.monotonic() - started < 30
    hanging.set()


def test_results_under_way_are_not_lost_when_one_ends_the_work():
    ready = threading.Barrier(4)

    def work(item: int) -> int:
        ready.wait()
        if item == 0:
            raise ValueError("the key is refused")
        time.sleep(0.3)
        return item

    results = in_threads(work, range(4), 4)
    assert sorted(next(results) for _ in range(3)) == [1, 2, 3]
    with pytest.raises(ValueError, match="refused"):
        next(results)
