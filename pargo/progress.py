"""Progress of anything longer than two seconds: a bar in a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")
DELAY = 2.0  # seconds before anything is shown
INTERVAL = 10.0  # seconds between plain lines
IMPORT_MARK = "import: "  # `pargo reproduce` shows the lines of a job's log that begin so
# how the log of a job begins that had nothing to do
SAME_MARK, RESTORED_MARK = "same: ", "restored: "


def track(iterable: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and show on stderr how far it is; what ends within two seconds shows nothing.

    Args:
        iterable: what is worked through.
        description: what is done, e.g. `Rendering scenes`.
        total: number of items; taken from `len(iterable)` where it has one.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    return (_bar if sys.stderr.isatty() else _lines)(iterable, description, total)


def _bar(iterable: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    task = progress.add_task(description, total=total)
    started, shown = time.monotonic(), False
    try:
        for item in iterable:
            yield item
            progress.advance(task)
            if not shown and time.monotonic() - started > DELAY:
                progress.start()
                shown = True
    finally:
        if shown:
            progress.stop()


def _lines(iterable: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    started = time.monotonic()
    due, count = started + DELAY, 0
    of = "" if total is None else f"/{total}"
    for item in iterable:
        yield item
        count += 1
        if time.monotonic() > due:
            print(f"{description}: {count}{of}", file=sys.stderr, flush=True)
            due = time.monotonic() + INTERVAL
    seconds = time.monotonic() - started
    if seconds > DELAY:
        print(f"{description}: {count} done in {seconds:.0f} s", file=sys.stderr, flush=True)
