"""SIGTERM and SIGINT during a training: noted, so that the current step and any checkpoint being written end first."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Termination:
    """While entered, a signal sets `asked` to its name instead of ending the process; a second one ends it."""

    def __init__(self) -> None:
        self.asked = ""
        self._previous: dict[signal.Signals, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number).name
        for name in SIGNALS:
            signal.signal(name, signal.SIG_DFL)

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            self._previous = {name: signal.signal(name, self._note) for name in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for name, handler in self._previous.items():
            signal.signal(name, handler)


def ignore(worker: int) -> None:
    """Ignore the signals that end a job, in processes that read ahead: the training ends them when it ends."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)
