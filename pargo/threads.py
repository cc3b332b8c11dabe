"""Work shared by threads that mostly wait: requests to a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Iterable[Item], num_threads: int) -> Iterator[Result]:
    """Results as they come, in any order; the first error ends it and is raised.

    Items are taken one at a time, when a thread is free. The threads are daemons: a request that hangs keeps neither an
    error nor an interruption waiting.
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
    running = num_threads
    try:
        while running:
            kind, result = found.get()
            if kind == "error":
                assert isinstance(result, BaseException)
                raise result
            if kind == "end":
                running -= 1
            else:
                yield result  # type: ignore[misc]
    finally:
        stop.set()
