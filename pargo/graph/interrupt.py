"""Ctrl-C or SIGTERM in a run: its launchers end, and a person says what becomes of the jobs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Literal

import psutil
from rich.console import Console
from rich.prompt import Prompt

from pargo.errors import PargoError
from pargo.graph.display import Display
from pargo.jobs.local import JOB
from pargo.jobs.overview import Job, cancel
from pargo.jobs.record import ON_INTERRUPT
from pargo.jobs.slurm import Slurm

GRACE = 10.0  # seconds for launchers to leave their jobs
LOOK = 0.2  # seconds between looks
SIGNALS = (signal.SIGINT, signal.SIGTERM)
OnInterrupt = Literal["ask", "detach", "cancel"]


class InterruptedRunError(PargoError):
    """The run was ended by a signal."""

    exit_code = 130

    def __init__(self, number: signal.Signals) -> None:
        super().__init__("interrupted; what is finished is kept, run again to continue")
        self.number = number


@contextmanager
def interruptible(display: Display) -> Iterator[Callable[[], None]]:
    """While Snakemake runs: tell the display about a signal, end all launchers, and leave only when none is left.

    Snakemake stops starting jobs then, and waits for those that run. A terminal's Ctrl-C reaches the launchers, too,
    but a signal may have come to this process alone: they would go on for hours, or submit a job after its end.

    Yields:
        To be called often, from any thread: it takes SIGTERM back from Snakemake, which would let all jobs end first.
    """
    over = threading.Event()
    watcher = threading.Thread(target=_end_launchers, args=(display, over), daemon=True)
    main = threading.current_thread()

    def note(number: int, frame: FrameType | None) -> None:
        display.interrupted = signal.Signals(number)
        os.environ[ON_INTERRUPT] = "end"  # of launchers that Snakemake's threads start from now on
        raise KeyboardInterrupt

    def again(number: int, frame: FrameType | None) -> None:
        """Once more, while launchers end: what becomes of their jobs is still to be said."""

    def take(handler: Callable[[int, FrameType | None], None] = note) -> None:
        if threading.current_thread() is main:
            for name in SIGNALS:
                if signal.getsignal(name) is not handler:
                    signal.signal(name, handler)

    watcher.start()
    previous = {name: signal.getsignal(name) for name in SIGNALS}
    take()
    try:
        yield take
    finally:
        take(again)
        over.set()
        watcher.join()
        for name, handler in previous.items():
            signal.signal(name, handler)


def _end_launchers(display: Display, over: threading.Event) -> None:
    """Once the run is interrupted, interrupt each launcher once, until the run is over and none is left."""
    while not display.interrupted:
        if over.wait(LOOK) and not display.interrupted:
            return
    told: set[psutil.Process] = set()
    started = time.monotonic()
    while True:
        ended = over.is_set()  # before the look: what starts until then is seen
        launchers = set(_launchers(psutil.Process()))
        for process in launchers - told:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
        told |= launchers
        if ended and (not launchers or time.monotonic() > started + GRACE):
            return
        time.sleep(LOOK)


def _launchers(process: psutil.Process) -> Iterator[psutil.Process]:
    """What a process started, without the jobs of this machine, which outlive their launchers."""
    with suppress(psutil.NoSuchProcess):
        for child in process.children():
            with suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE and JOB not in child.cmdline():
                    yield child
                    yield from _launchers(child)


def settle(jobs: Sequence[Job], on_interrupt: OnInterrupt, console: Console, *, can_ask: bool = True) -> None:
    """Let running jobs be, or cancel them, as the person wants.

    Args:
        on_interrupt: `detach` or `cancel`, or `ask` the person; where nobody can be asked, jobs of a cluster stay and
            others are cancelled.
        can_ask: somebody sits there, unless input is no terminal.
    """
    running = [job for job in jobs if job.alive]
    if not running:
        return
    for job in running:
        console.print(f"still there: job {job.record.job_id}, {job.stage} {job.arm}, {job.state}")
    clusters = all(job.record.backend == Slurm.name for job in running)
    chosen: str = on_interrupt
    if chosen == "ask" and can_ask and sys.stdin.isatty():
        question = "Leave them running (the next run finds them), or cancel them?"
        try:
            chosen = Prompt.ask(question, console=console, choices=["detach", "cancel"], default="detach")
        except (KeyboardInterrupt, EOFError):
            chosen = "detach"
    elif chosen == "ask":
        chosen = "detach" if clusters else "cancel"
    if chosen == "detach":
        console.print("left running; `pargo jobs` lists them, and the next run goes on with them")
        return
    for job in cancel(running):
        console.print(f"cancelled job {job.record.job_id}")
