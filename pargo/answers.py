"""Answers of models that are shared by all configs: what was paid for, or took long, is kept by what was sent.

They lie below `.pargo/answers/<hash of model and generation>/`, each file a journal (`pargo.journal`) that a job also
has in its run directory. So they outlive `runs/`, and another config, job or number of jobs asks nothing again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pargo.files import sha256_file
from pargo.layout import project_of_run

ANSWERS = Path(".pargo/answers")


def shared_folder(run_directory: Path, key: str) -> Path | None:
    """The folder of all answers of one kind; None where the run directory is not below a project's `runs/`.

    Args:
        run_directory: of a job that asks.
        key: hash of whom it asks, and how.
    """
    project = project_of_run(run_directory)
    return None if project is None else project / ANSWERS / key[:32]


def answer_files(folder: Path | None) -> list[Path]:
    """The files of answers in a folder."""
    return sorted(folder.glob("*.jsonl")) if folder is not None else []


@contextmanager
def shared(file: Path, folder: Path | None) -> Iterator[None]:
    """Let all jobs find a file of answers, and what is appended to it meanwhile.

    It is linked. Where it cannot be, as between two disks, it is copied, and again at the end.
    """
    _share(file, folder)
    try:
        yield
    finally:
        _share(file, folder)


def _share(file: Path, folder: Path | None) -> None:
    if folder is None or any(file.samefile(path) for path in answer_files(folder)):
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".new")
    os.close(handle)
    new = Path(name)
    try:
        new.unlink()
        os.link(file, new)
        new.replace(folder / f"{new.stem.strip('.')}.jsonl")
    except OSError:
        shutil.copyfile(file, new)
        new.replace(folder / f"{sha256_file(new)[:16]}.jsonl")
    finally:
        new.unlink(missing_ok=True)
