"""A job's log, read while it is written."""

from __future__ import annotations

import re
import time
from pathlib import Path

PROGRESS = re.compile(r"^step \d+/\d+ |: \d+/\d+$")  # of training, of `pargo.progress`
# what submitit says of itself, and what srun adds below the lines that tell why a process ended
NOISE = re.compile(r"^submitit (INFO|WARNING) |^srun: (launch/slurm: |error: \S+: tasks? \S+: Exited with exit code )")
INTERVAL = 30.0  # seconds between progress lines where nobody watches


class LogStream:
    """New lines of a log file that may not exist yet.

    Args:
        path: of the log.
        terminal: somebody watches: all progress lines are of use. Else one in half a minute is.
    """

    def __init__(self, path: Path, *, terminal: bool) -> None:
        self._path = path
        self._terminal = terminal
        self._position = 0
        self._rest = b""
        self._due = 0.0

    def read(self, *, last: bool = False) -> list[str]:
        """Lines since the last call that are worth showing; with `last`, also one without an end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return []
        self._position += len(data)
        *complete, self._rest = (self._rest + data).split(b"\n")
        if last and self._rest:
            complete.append(self._rest)
            self._rest = b""
        lines = [line.decode(errors="replace").rstrip("\r") for line in complete]
        return [line for line in lines if self._shown(line)]

    def _shown(self, line: str) -> bool:
        if NOISE.search(line):
            return False
        if self._terminal or not PROGRESS.search(line):
            return True
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + INTERVAL
        return True


def tail(path: Path, count: int = 40) -> list[str]:
    """The last lines of a log; empty when there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line for line in lines if not NOISE.search(line)][-count:]


def last_lines(log: str, count: int) -> list[str]:
    """The last non-empty lines of a log; none when there is no such file."""
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, Path(log).stat().st_size - 200 * (count + 10)))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()][-count:]
