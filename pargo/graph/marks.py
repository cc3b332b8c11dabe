"""How Snakemake is told what is up to date: an empty file per job, there exactly when its outputs are as it would make.

Snakemake makes the file itself when a job has succeeded. All have the same time, so that no time of it counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pargo.errors import PargoError
from pargo.graph.jobs import Job
from pargo.layout import Layout

TIME = 0  # of the files: none is newer than another


def mark_path(layout: Layout, name: str) -> Path:
    """The file of a job."""
    return _folder(layout) / name


def set_marks(layout: Layout, jobs: Iterable[Job]) -> None:
    """Make the files of jobs that are up to date, and remove all others.

    Raises:
        PargoError: they cannot be written.
    """
    folder = _folder(layout)
    done = {job.name for job in jobs if not job.reason}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in done:
                path.unlink(missing_ok=True)
        for name in done:
            (folder / name).touch()
            os.utime(folder / name, (TIME, TIME))
    except OSError as error:
        raise PargoError(
            f"{folder}: cannot tell Snakemake by files here what is up to date: {error.strerror}"
        ) from error


def _folder(layout: Layout) -> Path:
    return layout.runs / "up_to_date"
