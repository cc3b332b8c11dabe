"""Grades as they come, a line each, on disk before the next question is asked: an interrupted run loses none."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from pargo.config.base import Fraction, Settings
from pargo.errors import PargoError


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
    """An append-only file of `Finished` lines, for one process at a time and any number of its threads.

    Raises:
        PargoError: another process writes it, it cannot be written, or a line of it is no grade. A last line without
            its end, which a killed process leaves, is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
        except OSError as error:
            raise PargoError(f"cannot write {path}: {error.strerror}") from error
        try:
            self.finished = self._open(path)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: Path) -> dict[str, Finished]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PargoError(f"{path} is in use: another process grades into the same output") from None
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        finished = {}
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                record = Finished.model_validate_json(line)
            except ValidationError as error:
                raise PargoError(
                    f"{path}:{number}: not a grade: {error.errors()[0]['msg']}; remove the line or the file"
                ) from None
            finished[record.request] = record
        return finished

    def add(self, record: Finished) -> None:
        """Append a grade; it is on disk when this returns. After the end of `with` nothing is written.

        Raises:
            PargoError: it cannot be written, e.g. to a full disk.
        """
        line = json.dumps(record.model_dump(), ensure_ascii=True) + "\n"
        with self._lock:
            if self._file.closed:
                return
            try:
                self._file.write(line.encode())
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise PargoError(f"cannot write {self._file.name}: {error.strerror}") from error
            self.finished[record.request] = record

    def __enter__(self) -> GradeLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.close()
