"""SIGTERM during a training: noted, so that the current step and any checkpoint being written end first."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Termination:
    """While entered, SIGTERM sets `asked` instead of ending the process; a second one ends it."""

    def __init__(self) -> None:
        self.asked = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._previous)
