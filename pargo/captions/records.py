"""Results as they come, a line each, so that a killed job goes on with the next image and nothing is paid for twice."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pargo.captions.samples import Result
from pargo.errors import PargoError

KEY = "input"  # field of a line: hash of the image and the text that was shown with it
SYNC_INTERVAL = 2.0  # seconds: what a machine that loses its power has to ask again; a killed process loses nothing


class RecordFile:
    """An append-only file of results of one kind of work.

    Results of other work (another engine, prompt or sampling) are set aside under another name, never mixed or deleted,
    and used again when that work is asked for again.

    Args:
        path: of the file; made when missing.
        spec: hash of the engine and of what it is asked; the image is in the key of each line.

    Attributes:
        finished: id -> key of the results that need not be made again.

    Raises:
        PargoError: another process writes it, it cannot be written, or a line of it is damaged.
    """

    def __init__(self, path: Path, spec: str) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+")
        except OSError as error:
            raise PargoError(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._file.fileno()), path.stat()):
                raise BlockingIOError  # another process has just set it aside
        except OSError:
            self._file.close()
            raise PargoError(f"{path} is in use: another process makes the same captions") from None
        self._synced = time.monotonic()
        try:
            self.finished = self._open(spec)
        except BaseException:
            self._file.close()
            raise

    def _open(self, spec: str) -> dict[str, str]:
        """The ids in the file; without the unfinished last line of a killed process."""
        self._file.seek(0)
        header = self._file.readline()
        if not header.endswith(b"\n"):
            self._file.truncate(0)
            header = b""
        old = _parse(header, self.path, 1).get("spec") if header else spec
        if old != spec:
            aside = self._aside(old)
            if aside.exists():  # nobody but a person can have put it there
                aside = self._aside(time.time_ns())
            self.path.rename(aside)
            print(f"settings changed: the captions so far are set aside in {aside}", flush=True)
            header = self._reopen()
        if not header and self._aside(spec).exists():
            self._aside(spec).rename(self.path)
            print("these settings were used before: going on with their captions", flush=True)
            header = self._reopen()
        if not header:
            self._append({"spec": spec})
            return {}
        finished: dict[str, str] = {}
        whole = self._file.tell()
        for number, line in enumerate(self._file, start=2):
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            _note(finished, _parse(line, self.path, number))
        self._file.truncate(whole)
        return finished

    def _aside(self, spec: object) -> Path:
        return self.path.with_name(f"{self.path.stem}.{str(spec)[:20]}{self.path.suffix}")

    def _reopen(self) -> bytes:
        """The file that the path names now, locked; its first line."""
        self._file.close()
        self._file = self.path.open("ab+")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.seek(0)
        return self._file.readline()

    def add(self, result: Result, key: str) -> None:
        """Append a result; a kill of this process after this call does not lose it.

        Args:
            key: hash of what the result is of: the image, and the text that was shown with it.

        Raises:
            PargoError: it cannot be written, e.g. to a full disk.
        """
        self._add(result.to_json() | {KEY: key})

    def _add(self, row: dict[str, Any]) -> None:
        self._append(row)
        _note(self.finished, row)

    def adopt(self, other: Path, spec: str, wanted: Mapping[str, str]) -> None:
        """Append the results of another file of the same work; another process may be writing it.

        Args:
            wanted: ids, and the keys that their results must have.
        """
        with other.open("rb") as file:
            header = file.readline()
            if not header.endswith(b"\n") or _parse(header, other, 1).get("spec") != spec:
                return
            found: dict[str, dict[str, Any]] = {}
            for number, line in enumerate(file, start=2):
                if line.endswith(b"\n"):
                    row = _parse(line, other, number)
                    found.pop(row["id"], None)
                    if row.get("kind") != "unavailable" and wanted.get(row["id"]) == row.get(KEY):
                        found[row["id"]] = row
        for row in found.values():
            self._add(row)

    def _append(self, row: dict[str, Any]) -> None:
        line, file = json.dumps(row, ensure_ascii=True).encode() + b"\n", self._file.fileno()
        try:
            before = os.fstat(file).st_size
            if os.write(file, line) < len(line):  # no buffer: what is not written now is not written later
                os.ftruncate(file, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._synced > SYNC_INTERVAL:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise PargoError(f"cannot write {self.path}: {error.strerror}; what is written stays") from error

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _note(finished: dict[str, str], row: dict[str, Any]) -> None:
    """What the last result of an image says is what counts."""
    if row.get("kind") == "unavailable":
        finished.pop(row["id"], None)
    else:
        finished[row["id"]] = row.get(KEY, "")


def read_rows(path: Path) -> Iterator[tuple[str, int, int]]:
    """(id, place, length) of each result's line; a later line of an id replaces an earlier one."""
    with path.open("rb") as file:
        place = len(file.readline())
        for number, line in enumerate(file, start=2):
            yield _parse(line, path, number)["id"], place, len(line)
            place += len(line)


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or not (number == 1 or isinstance(row.get("id"), str)):
            raise ValueError
    except ValueError:
        raise PargoError(f"{path}:{number}: damaged; remove the line, or the file to begin anew") from None
    return row
