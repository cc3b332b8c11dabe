"""Work shared by threads that mostly wait: requests to a server."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

GRACE = 5.0  # seconds for requests that are under way when another one ends the work
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], num_threads: int) -> Iterator[Result]:
    """Results as they come, in any order; the first error ends it and is raised.

    Items are taken one at a time, when a thread is free. After an error what is under way is waited for a little. The
    threads are daemons: a request that hangs keeps neither an error nor an interruption waiting longer.
    """
    found: SimpleQueue[tuple[str, Result | BaseException | None]] = SimpleQueue()
    stop, lock, waiting = threading.Event(), threading.Lock(), iter(items)

    def loop() -> None:
        try:
            while not stop.is_set():
                with lock:
                    try:
                        item = next(waiting)
                    except StopIteration:
                        break
                found.put(("result", work(item)))
        except BaseException as error:
            found.put(("error", error))
        else:
            found.put(("end", None))

    for _ in range(num_threads):
        threading.Thread(target=loop, daemon=True).start()
    running, problem, end = num_threads, None, math.inf
    try:
        while running:
            try:
                kind, result = found.get(timeout=None if problem is None else max(0.0, end - time.monotonic()))
            except Empty:
                break
            if kind == "result":
                yield result  # type: ignore[misc]
                continue
            running -= 1
            if kind == "error" and problem is None:
                assert isinstance(result, BaseException)
                problem, end = result, time.monotonic() + GRACE
                stop.set()
        if problem is not None:
            raise problem
    finally:
        stop.set()
