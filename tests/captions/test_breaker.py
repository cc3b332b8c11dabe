"""The circuit breaker: closed while some succeed, one probe at a time while none does, an end after a long outage."""

from __future__ import annotations

import threading
import time

import pytest

from pargo.captions import breaker as module
from pargo.captions.breaker import Breaker
from pargo.errors import PargoError


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)


def opened(max_outage: float = 60.0) -> Breaker:
    breaker = Breaker(3, 0.2, max_outage)
    assert [breaker.failed(probe=False) for _ in range(3)] == [True, True, False]  # the last is an outage's
    return breaker


def test_failures_between_successes_do_not_open_it():
    breaker = Breaker(3, 0.2, 60)
    for _ in range(10):
        assert breaker.enter() is False
        assert breaker.failed(probe=False)
        assert breaker.failed(probe=False)
        breaker.succeeded()


def test_one_probe_at_a_time():
    breaker, entered = opened(), []

    def ask():
        entered.append(breaker.enter())

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.4)
    assert entered == [True]
    assert breaker.failed(probe=True) is False
    time.sleep(0.8)
    assert entered == [True, True]
    breaker.succeeded()
    for thread in threads:
        thread.join(10)
    assert entered == [True, True, False, False, False]


def test_a_late_failure_of_another_request_does_not_end_the_probe():
    breaker = opened()
    assert breaker.enter() is True
    assert breaker.failed(probe=False) is False
    done = threading.Event()
    threading.Thread(target=lambda: (breaker.enter(), done.set()), daemon=True).start()
    assert not done.wait(0.5)
    breaker.succeeded()
    assert done.wait(10)


def test_a_long_outage_is_an_error():
    breaker = opened(max_outage=0.3)

    def probe_for_long():
        for _ in range(1000):
            breaker.failed(probe=breaker.enter())

    with pytest.raises(PargoError, match="answered nobody"):
        probe_for_long()
