"""`pargo accept`: a change of code that its author knows to be without effect on what a job made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from pargo.accepted import accept as write
from pargo.errors import PargoError, UsageError
from pargo.graph.jobs import Job
from pargo.made import OTHER_CODE, record_of


def accept(jobs: Sequence[Job], pattern: str, reason: str) -> list[str]:
    """Write down that jobs' results hold, though their code changed.

    Args:
        jobs: of the config, with their reasons.
        pattern: name of a job, or of several with `*`.
        reason: why the change is without effect.

    Returns:
        Names of the jobs.

    Raises:
        UsageError: no such job, or no reason is given.
        PargoError: none of them would run because its code changed, and for that alone.
    """
    if not reason.strip():
        raise UsageError("--reason: say why the change is without effect; it is shown in the report")
    named = [job for job in jobs if fnmatchcase(job.name, pattern)]
    if not named:
        raise UsageError(f"JOB: there is no job {pattern!r}; `pargo status --all` lists them")
    changed = [job for job in named if job.reason.startswith(OTHER_CODE)]
    if not changed:
        states = [f"{job.name}: {job.reason or 'up to date'}" for job in named[:3]]
        raise PargoError(f"nothing to accept, only a change of code can be: {'; '.join(states)}")
    for job in changed:
        row = {
            "job": job.name,
            "output": job.output.as_posix(),
            "from": record_of(job.output, job.files)["code"],
            "to": job.code,
            "reason": reason.strip(),
            "when": datetime.now(UTC).date().isoformat(),
        }
        write(job.output, row)
    return [job.name for job in changed]
