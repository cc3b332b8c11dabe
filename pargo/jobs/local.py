"""The local back end: submitit's local executor, in a session of its own, so that jobs outlive their terminal."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import submitit

from pargo.jobs.record import JobRecord
from pargo.jobs.stage import StageCall
from pargo.jobs.submitit_files import hand_over, submitted_id

TIMEOUT_MINUTES = 10 * 365 * 24 * 60  # submitit wants a limit; there is none
VISIBLE = "CUDA_VISIBLE_DEVICES"
JOB = "submitit.local._local"  # in the command of the process that a job is
GRACE = 30.0  # seconds for an interrupted job to end its step, save and clean up
LOOK = 0.1  # seconds between looks at it


class Local:
    """Jobs as processes of this machine."""

    name = "local"
    poll = 0.25  # seconds between looks

    def submit(self, stages: Sequence[StageCall], folder: Path, tag: str) -> list[str]:
        """Start stages; their process ids."""
        # a terminal sends its Ctrl-C to all processes of a session's foreground, whoever started them
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork"), initializer=os.setsid) as session:
            return [session.submit(_start_job, stage, folder).result() for stage in stages]

    def find(self, record: JobRecord, folder: Path) -> str | None:
        """The job of a submission that was cut short: submitit's process names its folder."""
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if JOB in command and str(folder.absolute()) in command:
                hand_over(folder, str(process.pid))
                return str(process.pid)
        return submitted_id(folder)

    def started(self, job_id: str) -> float:
        """What tells the job's process from a later one with its id."""
        try:
            return _start(psutil.Process(int(job_id)))
        except psutil.NoSuchProcess:
            return 0.0

    def is_alive(self, record: JobRecord) -> bool:
        """Does the job's process still run? A zombie, and another process with its id, do not count."""
        return _process(record) is not None

    def state(self, record: JobRecord) -> str:
        return "running" if self.is_alive(record) else "ended"

    def cause(self, record: JobRecord) -> str:
        """Why a job has no result."""
        return "failed"

    def late_result(self, record: JobRecord, run_directory: Path) -> tuple[str, str | None] | None:
        """A result that came after the job had ended: here there is none."""
        return None

    def cancel(self, records: Sequence[JobRecord]) -> None:
        """Interrupt jobs with all that they started, once, and kill what is left after a while.

        Not submitit's process, which would kill them a second later: it ends when they have.
        """
        jobs = [process for record in records if (process := _process(record)) is not None]
        told: set[psutil.Process] = set()
        end = time.monotonic() + GRACE
        while (alive := [*_alive(jobs)]) and time.monotonic() < end:
            family = {child for process in alive for child in _children(process)}
            for process in family - told:
                _send(process, signal.SIGINT)
            told |= family
            time.sleep(LOOK)
        left = [*(child for process in alive for child in _children(process)), *alive]
        for process in left:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=GRACE)


def _start_job(stage: StageCall, folder: Path) -> str:
    """Submit a stage from a process that ends soon; its process id."""
    executor = submitit.LocalExecutor(folder, python=f"{_same_gpus()} {shlex.quote(sys.executable)}")
    executor.update_parameters(timeout_min=TIMEOUT_MINUTES, stderr_to_stdout=True)
    return executor.submit(stage).job_id


def _same_gpus() -> str:
    """Prefix of a job's command that lets it see the GPUs of this process, whatever their names (numbers, UUIDs, MIG).

    submitit writes CUDA_VISIBLE_DEVICES anew, from numbers alone, and hides all GPUs where it is told none.
    """
    visible = os.environ.get(VISIBLE)
    return f"env -u {VISIBLE}" if visible is None else f"env {shlex.quote(f'{VISIBLE}={visible}')}"


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _process(record: JobRecord) -> psutil.Process | None:
    try:
        process = psutil.Process(int(record.job_id))
        same = _start(process) == record.started
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _alive(jobs: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    for process in jobs:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _start(process: psutil.Process) -> float:
    """When a process began: ticks since boot where there is /proc, else psutil's time, which moves with the clock."""
    try:
        text = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return process.create_time()
    return float(text.rpartition(")")[2].split()[19])  # proc(5): field 22, after the name in brackets
