"""The record of a submitted job, so that a later launcher finds it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pargo.files import write_atomic

RECORD = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """One submitted job.

    Args:
        spec: hash of what it does.
        backend: who runs it.
        job_id: its name there.
        folder: submitit's files of this job, below the run directory.
        started: when the job's process began, as the back end tells it: an id alone may be in use again.
    """

    spec: str
    backend: str
    job_id: str
    folder: str
    started: float

    def write(self, run_directory: Path) -> None:
        """Save it, atomically."""
        write_atomic(run_directory / RECORD, json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def read(run_directory: Path) -> JobRecord | None:
        """The record of the run directory's last job; None without one, or when it cannot be read."""
        try:
            return JobRecord(**json.loads((run_directory / RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
