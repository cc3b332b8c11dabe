"""Signals to the driver while Snakemake runs; whole runs are in tests/workflow/test_nothing_lost.py."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from pargo.graph.display import Display
from pargo.graph.interrupt import SIGNALS, interruptible
from pargo.jobs.record import ON_INTERRUPT

SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (time.sleep(1.5), sys.exit()))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    monkeypatch.setenv(ON_INTERRUPT, "detach")
    return Display(Console(file=io.StringIO()), "all", 1)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_does_not_leave_before_launchers_have_ended(display: Display, number: signal.Signals) -> None:
    before = [signal.getsignal(name) for name in SIGNALS]
    launcher = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    assert launcher.stdout.readline()
    again = threading.Timer(0.8, os.kill, (os.getpid(), number))
    again.start()
    with pytest.raises(KeyboardInterrupt), interruptible(display):
        os.kill(os.getpid(), number)
    again.join()
    assert launcher.poll() == 0
    assert display.interrupted == number
    assert os.environ[ON_INTERRUPT] == "end"
    assert [signal.getsignal(name) for name in SIGNALS] == before


def test_sigterm_is_taken_back(display: Display) -> None:
    with interruptible(display) as take:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Snakemake's scheduler does when it begins
        other = threading.Thread(target=take)
        other.start()
        other.join()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # only the main thread can
        take()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
