"""Grades as they come, a line each, on disk before the next question is asked: an interrupted run loses none."""

from __future__ import annotations

import threading
from collections.abc import Set
from itertools import repeat
from pathlib import Path

from pydantic import ValidationError

from pargo.config.base import Fraction, Settings
from pargo.config.words import explain_all
from pargo.journal import Journal, Line, damaged, read_journal


class Finished(Settings):
    """One grade. `request` is the hash of all that was asked: a grade counts for that alone."""

    request: str
    id: str
    run: int
    prompt: str
    model: str
    content: str
    score: Fraction


class GradeLog:
    """A journal (`pargo.journal`) of `Finished` lines, for one process at a time and any number of its threads.

    Raises:
        PargoError: another process writes it, it cannot be written, or a line of it is no grade.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self._journal = Journal(path, use="grades into the same output")
        try:
            self.finished = {record.request: record for record in map(_grade, self._journal.lines(), repeat(path))}
        except BaseException:
            self._journal.close()
            raise

    def add(self, record: Finished) -> None:
        """Append a grade; it is on disk when this returns. After the end of `with` nothing is written.

        Raises:
            PargoError: it cannot be written, e.g. to a full disk.
        """
        with self._lock:
            if not self._journal.is_closed:
                self._journal.append(record.model_dump())
                self.finished[record.request] = record

    def adopt(self, other: Path, requests: Set[str]) -> None:
        """Append the grades of another file; another process may be writing it.

        Args:
            requests: whose grades are wanted.
        """
        for record in map(_grade, read_journal(other, growing=True), repeat(other)):
            if record.request in requests and record.request not in self.finished:
                self.add(record)

    def __enter__(self) -> GradeLog:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._journal.close()


def _grade(line: Line, path: Path) -> Finished:
    try:
        return Finished.model_validate_json(line.data)
    except ValidationError as error:
        raise damaged(path, line.number, f"not a grade: {explain_all(error)}") from None
