"""How a job ended, and whether it is tried again."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path

from pargo.config.jobs import Resources
from pargo.errors import PargoError
from pargo.jobs.handover import forget
from pargo.jobs.log import tail
from pargo.jobs.record import RECORD, Attempts, JobRecord
from pargo.jobs.submission import Backend, locked, shown
from pargo.jobs.submitit_files import paths, result

# SLURM's state tells it only where cgroups watch memory; its daemon writes it into the log everywhere
OUT_OF_MEMORY = re.compile(r"slurmstepd.*(oom.?kill|exceeded (job )?memory limit)", re.IGNORECASE)
# it was nobody's fault
UNBOUNDED = ("preempted", "node failure")
GRACE = 20.0  # seconds for a job's processes to end after one of them failed
HINTS = {
    "out of memory": "out of memory: lower the stage's micro_batch_size, or raise memory_gb in the jobs file",
    "cancelled": "cancelled by hand (scancel); run again to submit it anew",
    "lost": "ended without a result, and SLURM does not know it any more",
    "failed": "ended without a result (killed, or out of memory?)",
}


def harvest(
    record: JobRecord, backend: Backend, name: str, run_directory: Path, resources: Resources, *, keep: bool = False
) -> bool:
    """Whether the stage is done; the record goes then, so that a later call with the same spec runs it again.

    Args:
        record: of a job that has ended.
        backend: its owner.
        name: for messages.
        run_directory: of the stage.
        resources: say how often it may be tried.
        keep: keep the record of a success.

    Returns:
        False when it has to be tried again, or another launcher has begun to.

    Raises:
        PargoError: it failed, and is not to be tried again.
    """
    with locked(run_directory):
        current = JobRecord.read(run_directory)
        outcome = result(record, run_directory)
        if outcome is None:
            outcome = backend.late_result(record, run_directory)
        mine = current is not None and current.tag == record.tag
        attempts = Attempts(run_directory)
        if outcome == ("success", None):
            if mine and not keep:
                (run_directory / RECORD).unlink(missing_ok=True)
                forget(run_directory)
            if mine:
                attempts.clear()
            return True
        if current is not None and not mine:
            return False
        if outcome is not None and resources.num_tasks > 1:
            _end_others(record, backend)
        log = paths(record, run_directory).stdout
        cause, reason = _cause(record, backend, outcome, attempts, log)
        number = attempts.add_once(record.job_id, cause)
    budget = {"timed out": resources.max_timeouts, "failed": resources.max_failures, "lost": resources.max_failures}
    if cause in UNBOUNDED or number <= budget.get(cause, 0):
        print(f"{name}: {reason}; trying again", flush=True)
        return False
    if number > 1:
        reason += f" ({number} times)"
    lines = "\n".join(f"  | {line}" for line in tail(log))
    raise PargoError(f"{name}: {reason}\nlast lines of {shown(log)}:\n{lines}")


def _end_others(record: JobRecord, backend: Backend) -> None:
    """Cancel a job of which one process failed, and the others wait for it."""
    end = time.monotonic() + GRACE
    while backend.is_alive(record):
        if time.monotonic() > end:
            with suppress(PargoError):  # the reason of the failure matters more
                backend.cancel([record])
            return
        time.sleep(0.5)


def _cause(
    record: JobRecord, backend: Backend, outcome: tuple[str, str | None] | None, attempts: Attempts, log: Path
) -> tuple[str, str]:
    """Why it is not done, as a word and as a sentence."""
    if outcome is not None and outcome[0] == "success":
        return "refused", str(outcome[1])  # an expected failure: it would be the same again
    if outcome is not None:
        last = str(outcome[1]).strip().splitlines()[-1]
        reason = f"job {record.job_id} failed: {last}"
        if "OutOfMemoryError" in last or last.startswith("MemoryError"):
            return "out of memory", f"{reason}; {HINTS['out of memory']}"
        return "failed", reason
    cause = backend.cause(record)
    if cause in ("failed", "cancelled") and any(OUT_OF_MEMORY.search(line) for line in tail(log)):
        cause = "out of memory"
    elif cause == "failed" and (own := attempts.last(record.job_id)) in ("timed out", "preempted"):
        cause = own  # it noted so itself, and could not requeue itself
    return cause, f"job {record.job_id} {HINTS.get(cause, cause)}"
