"""The lines that a training prints while it runs."""

from __future__ import annotations

import time
from typing import Any, Protocol

INTERVAL = 5.0  # seconds between lines


class Steps(Protocol):
    """How long a training is."""

    @property
    def num_samples(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def num_steps(self) -> int: ...


class Progress:
    """Prints a line every few seconds: step, samples, loss since the last line, speed, time left."""

    def __init__(self, train: Steps, start: int) -> None:
        self._train = train
        self._start = start
        self._began = time.monotonic()
        self._due = self._began + INTERVAL
        self._losses: list[float] = []

    def update(self, step: int, metrics: dict[str, Any]) -> None:
        """Take note of a finished step, counted from one."""
        if metrics["loss"] is not None:
            self._losses.append(metrics["loss"])
        now = time.monotonic()
        if now < self._due and step < self._train.num_steps:
            return
        speed = (step - self._start) * self._train.batch_size / (now - self._began)
        left = (self._train.num_samples - metrics["samples"]) / speed
        loss = sum(self._losses) / len(self._losses) if self._losses else float("nan")
        print(
            f"step {step}/{self._train.num_steps}  samples {metrics['samples']}/{self._train.num_samples}  "
            f"loss {loss:.4f}  {speed:.1f} samples/s  ETA {int(left) // 60}:{int(left) % 60:02d}",
            flush=True,
        )
        self._losses.clear()
        self._due = now + INTERVAL
