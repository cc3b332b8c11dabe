"""All jobs that run directories have on record: for `pargo jobs`, `pargo logs` and `pargo cancel`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pargo.config.jobs import Jobs
from pargo.errors import PargoError
from pargo.jobs.log import last_lines
from pargo.jobs.queue import shared_queue
from pargo.jobs.record import RECORD, Attempts, JobRecord
from pargo.jobs.slurm import Slurm
from pargo.jobs.submission import Backend, adopt, make_backend, shown
from pargo.jobs.submitit_files import paths, result
from pargo.layout import RUNS, run_parts
from pargo.units import duration

# what a training prints, and `pargo.progress`
TRAINING = re.compile(r"^step (\d+/\d+) .*?([\d.]+ samples/s)  ETA (\S+)")
COUNTING = re.compile(r"^(.+): (\d+/\d+)$")
LOOKED_AT = 40  # last lines of a log


@dataclass(frozen=True)
class Job:
    """A job on record, as it is now."""

    record: JobRecord
    run_directory: Path
    state: str
    alive: bool
    node: str = ""
    elapsed: str = ""
    step: str = ""
    speed: str = ""
    left: str = ""

    @property
    def stage(self) -> str:
        """E.g. `pretrain`: the first folder below that of the config."""
        return run_parts(self.run_directory)[0]

    @property
    def arm(self) -> str:
        """What tells the stage's jobs apart, e.g. `pargo seed-0`."""
        return " ".join(run_parts(self.run_directory)[1:])

    @property
    def log(self) -> Path:
        return paths(self.record, self.run_directory).stdout


def find_jobs(root: Path = RUNS) -> list[Job]:
    """Jobs that are running or waiting, or that ended and whose result no launcher has taken."""
    found = [_look(path.parent) for path in sorted(root.rglob(RECORD))]
    return [job for job in found if job is not None]


def _look(run_directory: Path) -> Job | None:
    record = JobRecord.read(run_directory)
    if record is None:
        return None  # taken since it was listed
    if not record.job_id:
        return Job(record, run_directory, "being submitted", alive=True)
    backend: Backend = make_backend(record.backend, Jobs())
    outcome = result(record, run_directory)
    alive = outcome is None and backend.is_alive(record)
    state = backend.state(record) if alive else "finished" if outcome == ("success", None) else "failed"
    if not alive and outcome is None:
        state = backend.cause(record)
    if again := len(Attempts(run_directory).entries()):
        state += f", run {again + 1}"
    node, elapsed = _place_and_time(record, alive)
    step, speed, left = _progress(paths(record, run_directory).stdout)
    return Job(record, run_directory, state, alive, node, elapsed, step, speed, left)


def _place_and_time(record: JobRecord, alive: bool) -> tuple[str, str]:
    """Node, and how long it has waited or run."""
    if record.backend != Slurm.name:
        return "here", ""
    snapshot = shared_queue(Jobs().poll_seconds).look()
    entry = None if snapshot is None else snapshot.jobs.get(record.job_id)
    if entry is None:
        return "", ""
    waits = entry.state == "PENDING"
    return entry.nodes, f"waits {duration(time.time() - record.started)}" if waits else entry.elapsed


def _progress(log: Path) -> tuple[str, str, str]:
    """Step, speed and time left, from the last line of the log that tells."""
    for line in reversed(last_lines(str(log), LOOKED_AT)):
        if found := TRAINING.match(line):
            return found[1], found[2], found[3]
        if found := COUNTING.match(line):
            return found[2], "", ""
    return "", "", ""


def render(jobs: list[Job]) -> Group:
    """What `pargo jobs` prints: two lines for each job, and where the logs are."""
    table = Table("id", "job", "state", "progress", "node", box=box.SIMPLE, padding=(0, 1))
    for job in jobs:
        left = f"{job.left} left" if job.left and job.alive else ""
        progress = ", ".join(part for part in (job.speed, left) if part)
        cells = (f"{job.stage}\n{job.arm}", f"{job.state}\n{job.elapsed}", f"{job.step}\n{progress}", job.node)
        table.add_row(job.record.job_id, *cells)
    logs = "\n".join(f"{job.record.job_id}  {shown(job.log)}" for job in jobs)
    return Group(table, Text(logs, overflow="fold", style="dim"))


def find_job(job_id: str, root: Path = RUNS) -> Job:
    """The job with that id.

    Raises:
        PargoError: there is none.
    """
    jobs = find_jobs(root)
    for job in jobs:
        if job.record.job_id == job_id:
            return job
    known = ", ".join(job.record.job_id for job in jobs) or "none"
    raise PargoError(f"no job {job_id!r} below {root}/; jobs on record: {known}")


def cancel(jobs: Sequence[Job]) -> list[Job]:
    """End jobs, and take them off the record.

    Returns:
        Those that were there to be ended; a submission that was cut short may have left none.

    Raises:
        PargoError: they do not end; they stay on record.
    """
    ended = []
    for name in {job.record.backend for job in jobs}:
        backend = make_backend(name, Jobs())
        for job in jobs:
            record: JobRecord | None = job.record
            if job.record.backend == name and not job.record.job_id:
                record = adopt(job.record, backend, job.stage, job.run_directory)
            if job.record.backend == name and record is not None:
                ended.append(replace(job, record=record))
        backend.cancel([job.record for job in ended if job.record.backend == name])
    for job in jobs:
        (job.run_directory / RECORD).unlink(missing_ok=True)
        Attempts(job.run_directory).clear()
    return ended


def follow(job: Job, seconds: float = 1.0) -> Iterator[str]:
    """The log's text, as it grows, until the job has ended."""
    position = 0
    while True:
        current = _look(job.run_directory)
        try:
            with job.log.open("rb") as file:
                file.seek(position)
                data = file.read()
        except FileNotFoundError:
            data = b""
        position += len(data)
        if data:
            yield data.decode(errors="replace")
        if current is None or not current.alive:
            return
        time.sleep(seconds)
