"""The local back end: submitit's local executor, which starts a process that outlives the launcher."""

from __future__ import annotations

import pickle
import signal
from pathlib import Path

import psutil
import submitit
from submitit.core.utils import JobPaths

from pargo.jobs.record import JobRecord
from pargo.jobs.stage import Stage

TIMEOUT_MINUTES = 10 * 365 * 24 * 60  # submitit wants a limit; there is none
GRACE = 5.0  # seconds for an interrupted job to clean up

name = "local"


def submit(stage: Stage, run_directory: Path, spec: str) -> JobRecord:
    """Start a stage as a job. Each job has a folder of its own: process ids, submitit's job ids, come again."""
    number = 1 + max((int(path.name) for path in (run_directory / "jobs").glob("[0-9]*")), default=0)
    folder = Path("jobs") / f"{number:04d}"
    executor = submitit.AutoExecutor(run_directory / folder, cluster="local")
    executor.update_parameters(timeout_min=TIMEOUT_MINUTES, stderr_to_stdout=True)
    job = executor.submit(stage)
    process = psutil.Process(int(job.job_id))
    return JobRecord(spec, name, job.job_id, folder.as_posix(), _start(process))


def paths(record: JobRecord, run_directory: Path) -> JobPaths:
    """Where submitit puts the log and the result of a job."""
    return JobPaths(run_directory / record.folder, job_id=record.job_id, task_id=0)


def is_alive(record: JobRecord) -> bool:
    """Does the job's process still run? A zombie, and another process with its id, do not count."""
    return _process(record) is not None


def result(record: JobRecord, run_directory: Path) -> tuple[str, str | None] | None:
    """`("success", the stage's return value)`, `("error", traceback)`, or None while there is neither."""
    try:
        return pickle.loads(paths(record, run_directory).result_pickle.read_bytes())  # noqa: S301 - our own file
    except FileNotFoundError:
        return None


def cancel(record: JobRecord) -> None:
    """Interrupt the job and all its children, and kill what is left after some seconds."""
    controller = _process(record)
    if controller is None:
        return
    family = [*controller.children(recursive=True), controller]
    for process in family:
        _send(process, signal.SIGINT)
    _, alive = psutil.wait_procs(family, timeout=GRACE)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=GRACE)


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


def _start(process: psutil.Process) -> float:
    """When a process began: ticks since boot where there is /proc, else psutil's time, which moves with the clock."""
    try:
        text = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return process.create_time()
    return float(text.rpartition(")")[2].split()[19])  # proc(5): field 22, after the name in brackets
