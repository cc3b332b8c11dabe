"""What a person sees while Snakemake runs: a line per job, its latest log line, and a bar per stage in a terminal."""

from __future__ import annotations

import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from pargo.jobs.log import last_lines
from pargo.progress import IMPORT_MARK, RESTORED_MARK, SAME_MARK
from pargo.units import duration

TICK = 1.0  # seconds between looks at the logs, in a terminal
HEARTBEAT = 60.0  # seconds between plain lines about running jobs
TAIL = 20  # lines of a failed job's log


def describe(rule: str, wildcards: dict[str, str]) -> str:
    """A job in words, e.g. `evaluate arm pargo, seed 0, benchmark mini_mme`."""
    return " ".join([rule.replace("_", " "), ", ".join(f"{key} {value}" for key, value in wildcards.items())]).strip()


@dataclass
class _Running:
    name: str
    log: str
    started: float = field(default_factory=time.monotonic)
    task: TaskID | None = None
    shown: str = ""


class Display:
    """Shows the jobs of a run; `listen` takes Snakemake's log records, from any thread."""

    def __init__(self, console: Console, title: str, num_jobs: int) -> None:
        self._console = console
        self._running: dict[int, _Running] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._progress: Progress | None = None
        self.num_failed = 0
        self.num_run = 0  # to their end; not those that had nothing to do
        self.interrupted: signal.Signals | None = None  # set it when jobs end because a person stopped them
        if console.is_terminal:
            fixed = Column(no_wrap=True, min_width=7)
            line = TextColumn(
                "[dim]{task.fields[line]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            )
            name = TextColumn("{task.description}", table_column=Column(no_wrap=True))
            columns = (name, BarColumn(12, table_column=fixed), TimeElapsedColumn(table_column=fixed), line)
            self._progress = Progress(*columns, console=console, transient=True, expand=True)
            self._total = self._progress.add_task(f"[bold]{title}", total=num_jobs, line=f"{num_jobs} jobs")
        else:
            console.print(f"{title}: {num_jobs} job{'s' if num_jobs > 1 else ''}")

    def __enter__(self) -> Display:
        if self._progress is not None:
            self._progress.start()
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._ticker.join()
        if self._progress is not None:
            self._progress.stop()

    def listen(self, record: logging.LogRecord) -> None:
        """Show what a record of Snakemake's logger tells; most tell nothing."""
        event = getattr(record, "event", None)
        with self._lock:
            if event == "job_info":
                self._started(record)
            elif event == "job_finished":
                self._finished(record.job_id)  # type: ignore[attr-defined]
            elif event == "job_error":
                self._failed(record.jobid)  # type: ignore[attr-defined]

    def _started(self, record: logging.LogRecord) -> None:
        logs = getattr(record, "log", None) or [""]
        job = _Running(describe(record.rule_name, record.wildcards), str(logs[0]))  # type: ignore[attr-defined]
        if self._progress is not None:
            job.task = self._progress.add_task(f"  {escape(job.name)}", total=None, line="")
        else:
            self._console.print(f"  start  {job.name}", markup=False)
        self._running[record.jobid] = job  # type: ignore[attr-defined]

    def _finished(self, jobid: int) -> None:
        if (job := self._pop(jobid)) is not None:
            took, lines = duration(time.monotonic() - job.started), last_lines(job.log, TAIL)
            if ended := next((line for line in lines if line.startswith((SAME_MARK, RESTORED_MARK))), ""):
                word, _, why = ended.partition(": ")
                self._console.print(f"  [green]{word:<6}[/] {escape(job.name)}  [dim]{escape(why)}[/]")
            else:
                self.num_run += 1
                self._console.print(f"  [green]done[/]   {escape(job.name)}  [dim]{took}[/]")
            for line in lines:
                if line.startswith(IMPORT_MARK):
                    self._console.print(f"         {line.removeprefix(IMPORT_MARK)}", markup=False)
            if self._progress is not None:
                self._progress.advance(self._total)

    def _failed(self, jobid: int) -> None:
        if (job := self._pop(jobid)) is not None and not self.interrupted:
            self.num_failed += 1
            took = duration(time.monotonic() - job.started)
            self._console.print(f"  [bold red]failed[/] {escape(job.name)}  [dim]{took}[/]; the end of {job.log}:")
            for line in last_lines(job.log, TAIL) or ["(empty)"]:
                self._console.print(f"    {line}", markup=False, style="red")

    def _pop(self, jobid: int) -> _Running | None:
        job = self._running.pop(jobid, None)
        if job is not None and job.task is not None and self._progress is not None:
            self._progress.remove_task(job.task)
        return job

    def _tick(self) -> None:
        while not self._stop.wait(TICK if self._progress is not None else HEARTBEAT):
            with self._lock:
                for job in self._running.values():
                    self._show_line(job, next(iter(last_lines(job.log, 1)), ""))

    def _show_line(self, job: _Running, line: str) -> None:
        if self._progress is not None and job.task is not None:
            self._progress.update(job.task, line=escape(line.strip()))
        elif line != job.shown:
            job.shown = line
            self._console.print(f"         {job.name}: {line.strip()}", markup=False)
