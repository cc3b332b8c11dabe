"""What a run directory keeps of its job, so that a later launcher finds it again and knows what happened to it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pargo.files import write_atomic
from pargo.notes import append_note, read_notes

RECORD, ATTEMPTS = "job.json", "attempts.jsonl"
ON_INTERRUPT = "PARGO_ON_INTERRUPT"  # of a launcher: `cancel` its job (default), `detach` from it, or `end` at once


@dataclass(frozen=True)
class JobRecord:
    """One submitted job.

    Args:
        spec: hash of what it does.
        backend: who runs it.
        tag: unique text that the back end knows the job by. It is on record before the job is submitted, so a
            launcher that dies in between leaves a job that can be found.
        folder: submitit's files of this job, below the run directory.
        job_id: its name at the back end; empty while it is being submitted.
        started: when it was submitted: of a local job as its process tells, since a process id alone may be in use
            again; else in seconds since the epoch.
    """

    spec: str
    backend: str
    tag: str
    folder: str
    job_id: str = ""
    started: float = 0.0

    def write(self, run_directory: Path) -> None:
        """Save the record in its run directory, atomically."""
        write_atomic(run_directory / RECORD, json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def read(run_directory: Path) -> JobRecord | None:
        """The record of the run directory's last job; None without one, or when it is none.

        Raises:
            OSError: nobody can tell.
        """
        try:
            return JobRecord(**json.loads((run_directory / RECORD).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None


class Attempts:
    """How the runs of a job ended so far, oldest first; the job itself and its launchers add to it.

    Args:
        run_directory: holds the list.
    """

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / ATTEMPTS

    def add(self, job_id: str, cause: str) -> None:
        """Note the end of a run: `timed out`, `preempted`, `failed`, ..."""
        append_note(self._path, {"job": job_id, "cause": cause, "time": round(time.time(), 1)})

    def add_once(self, job_id: str, cause: str) -> int:
        """Note the end of a job, of which two launchers may tell; how many jobs ended so."""
        if self.last(job_id) != cause:
            self.add(job_id, cause)
        return self.count(cause)

    def last(self, job_id: str) -> str:
        """How the job's last run ended; empty when nothing is noted."""
        return next((entry["cause"] for entry in reversed(self.entries()) if entry.get("job") == job_id), "")

    def count(self, cause: str) -> int:
        """How many runs of the job ended by this cause."""
        return sum(entry.get("cause") == cause for entry in self.entries())

    def entries(self) -> list[dict[str, Any]]:
        """All that is noted, in order."""
        return read_notes(self._path)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
