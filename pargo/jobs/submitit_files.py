"""Where submitit keeps a job's log and result; the same for all back ends."""

from __future__ import annotations

import pickle
from pathlib import Path

from submitit.core.utils import JobPaths

from pargo.jobs.record import JobRecord


def paths(record: JobRecord, run_directory: Path) -> JobPaths:
    """Where submitit keeps the log and result of the job's first process."""
    return JobPaths(run_directory / record.folder, job_id=record.job_id, task_id=0)


def result(record: JobRecord, run_directory: Path) -> tuple[str, str | None] | None:
    """`("success", the stage's return value)`, `("error", traceback)`, or None while there is neither.

    A result that makes no sense is an error like others: what the job has done is in its output. Of several ranks the
    first tells, or the one that failed without it.

    Raises:
        OSError: nobody can tell.
    """
    first = paths(record, run_directory).result_pickle
    outcome = load(first)
    if outcome is not None:
        return outcome
    others = (load(path) for path in first.parent.glob(f"{record.job_id}_[1-9]*_result.pkl"))
    return next((other for other in others if other is not None and other != ("success", None)), None)


def load(path: Path) -> tuple[str, str | None] | None:
    """A result file of submitit; see `result`."""
    try:
        outcome = pickle.loads(path.read_bytes())  # noqa: S301 - our own file
    except FileNotFoundError:
        return None
    except OSError:
        raise
    except Exception as error:  # whatever broken bytes raise
        return "error", f"its result {path.name} cannot be read: {type(error).__name__}: {error}"
    if not (isinstance(outcome, tuple) and len(outcome) == 2 and outcome[0] in ("success", "error")):
        return "error", f"its result {path.name} is no result of a job"
    return outcome


def hand_over(folder: Path, job_id: str) -> None:
    """Finish what submitit does after a submission: give the job its pickle, which has a temporary name till then."""
    target = folder / f"{job_id}_submitted.pkl"
    temporary = [path for path in folder.glob("*.pkl") if not path.stem.endswith(("_submitted", "_result"))]
    if not target.exists() and len(temporary) == 1:
        temporary[0].rename(target)


def submitted_id(folder: Path, ending: str = "") -> str | None:
    """The job whose pickle is in a folder, if one was submitted; of an array that whose id ends so."""
    ids = (path.name.removesuffix("_submitted.pkl") for path in folder.glob("[0-9]*_submitted.pkl"))
    return next((job_id for job_id in ids if job_id.endswith(ending)), None)
