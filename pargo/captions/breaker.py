"""A circuit breaker: while a server answers nobody, one request at a time asks whether it is back."""

from __future__ import annotations

import threading
import time

from pargo.errors import PargoError

FIRST_PAUSE = 1.0  # seconds


class Breaker:
    """Shared by the threads of one engine.

    Args:
        threshold: failures in a row, of all threads together, that open it.
        max_pause: seconds between two probes, at most.
        max_outage: seconds after which the engine gives up.
    """

    def __init__(self, threshold: int, max_pause: float, max_outage: float) -> None:
        self._threshold, self._max_pause, self._max_outage = threshold, max_pause, max_outage
        self._changed = threading.Condition()
        self._failures = 0
        self._opened: float | None = None
        self._pause = FIRST_PAUSE
        self._next = 0.0
        self._probing = False

    def enter(self) -> bool:
        """Wait until a request may be sent; True when it is the probe.

        Raises:
            PargoError: the outage has lasted too long.
        """
        with self._changed:
            while self._opened is not None:
                now = time.monotonic()
                if now - self._opened > self._max_outage:
                    raise PargoError(f"the server has answered nobody for {now - self._opened:.0f} s")
                if not self._probing and now >= self._next:
                    self._probing = True
                    return True
                self._changed.wait(0.5 if self._probing else min(0.5, self._next - now))
            return False

    def succeeded(self) -> None:
        """The server said something that makes sense."""
        with self._changed:
            self._failures, self._opened, self._probing, self._pause = 0, None, False, FIRST_PAUSE
            self._changed.notify_all()

    def failed(self, *, probe: bool) -> bool:
        """It did not; True when that is the image's own misfortune, not an outage."""
        with self._changed:
            self._failures += 1
            if self._opened is None and self._failures >= self._threshold:
                self._opened = time.monotonic()
                print(f"{self._failures} requests failed in a row; asking now and then until one succeeds", flush=True)
            if self._opened is None:
                return True
            if probe or not self._probing:
                self._next = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, self._max_pause)
            if probe:
                self._probing = False
            self._changed.notify_all()
            return False
