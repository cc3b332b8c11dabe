"""Append-only files of JSON lines that survive a kill: captions, answers and grades are kept in them as they come.

- A line is whole when it ends. A last one without its end, which a killed process or a full disk leaves, is dropped
  when the file is opened to go on, and its place is written anew.
- Any other line that is not what it must be is damage: an error that names file and line. What was paid for is never
  thrown away unseen.
- One process writes at a time, by a lock that ends with the process.
- The first line may say what the others belong to, `{"spec": ...}`: `open_for` sets those of another spec aside.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from pargo.errors import PargoError

_BLOCK = 1 << 16


class Line(NamedTuple):
    """A line: its number from 1, the place of its first byte, its bytes with the end, and what it says."""

    number: int
    place: int
    data: bytes
    row: dict[str, Any]


class Journal:
    """A file to append to, for one process at a time; use as a context manager, or close.

    Args:
        path: of the file; made when missing, with its folders.
        use: what another process that has it open does, for the error.
        sync_interval: seconds between two waits for the disk. 0: each line is on disk when `append` returns. More: a
            machine that loses its power loses what came since; a killed process loses nothing either way.

    Raises:
        PargoError: another process has it open, or it cannot be written.
    """

    def __init__(self, path: Path, *, use: str, sync_interval: float = 0.0) -> None:
        self.path, self._sync_interval = path, sync_interval
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("ab+")
        except OSError as error:
            raise PargoError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._lock(use)
            _drop_torn_line(self._file)
            _sync_folder(path.parent)
        except OSError as error:
            self._file.close()
            raise PargoError(f"cannot write {path}: {error.strerror}") from error
        except BaseException:
            self._file.close()
            raise
        self._synced = time.monotonic()

    def _lock(self, use: str) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat()):
                raise BlockingIOError  # another process has just put another file in its place
        except (BlockingIOError, FileNotFoundError):
            raise PargoError(f"{self.path} is in use: another process {use}") from None

    @property
    def is_closed(self) -> bool:
        """Is nothing to be appended any more?"""
        return self._file.closed

    def lines(self) -> Iterator[Line]:
        """The lines so far, in order.

        Raises:
            PargoError: one is damaged; names file and line.
        """
        self._file.seek(0)
        yield from _lines(self._file, self.path, growing=False)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line; a kill of this process after this call does not lose it.

        Raises:
            PargoError: it cannot be written, e.g. to a full disk. Nothing of it is there then.
        """
        line, file = json.dumps(row, ensure_ascii=True).encode() + b"\n", self._file.fileno()
        try:
            before = os.fstat(file).st_size
            if os.write(file, line) < len(line):  # no buffer: what is not written now is not written later
                os.ftruncate(file, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if time.monotonic() - self._synced >= self._sync_interval:
                os.fsync(file)
                self._synced = time.monotonic()
        except OSError as error:
            raise PargoError(f"cannot write {self.path}: {error.strerror}; what is written stays") from error

    def close(self) -> None:
        """Wait for the disk, and let other processes write."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_for(
    path: Path, spec: str, *, use: str, what: str, sync_interval: float = 0.0
) -> tuple[Journal, Iterator[Line]]:
    """Open the journal of some work, whose first line says so; the lines behind that one.

    Lines of other work are set aside under another name, never mixed or deleted, and taken again when that work is
    asked for again. They stay as long as the folder.

    Args:
        path, use, sync_interval: as of `Journal`.
        spec: hash of what the lines depend on.
        what: the lines are, for messages.

    Raises:
        PargoError: as of `Journal`, or the first line is damaged.
    """

    def reopened() -> Journal:
        """The file that the path names now."""
        new = Journal(path, use=use, sync_interval=sync_interval)
        journal.close()
        return new

    journal = Journal(path, use=use, sync_interval=sync_interval)
    try:
        header = next(journal.lines(), None)
        if header and (old := header.row.get("spec")) != spec:
            aside = _aside(path, old)
            if aside.exists():  # nobody but a person can have put it there
                aside = _aside(path, time.time_ns())
            path.rename(aside)
            print(f"settings changed: the {what} so far are set aside in {aside}", flush=True)
            journal, header = reopened(), None
        if not header and _aside(path, spec).exists():
            _aside(path, spec).rename(path)
            print(f"these settings were used before: going on with their {what}", flush=True)
            journal = reopened()
        lines = journal.lines()
        if next(lines, None) is None:
            journal.append({"spec": spec})
    except BaseException:
        journal.close()
        raise
    return journal, lines


def _aside(path: Path, spec: object) -> Path:
    return path.with_name(f"{path.stem}.{str(spec)[:20]}{path.suffix}")


def read_journal(path: Path, *, growing: bool = False) -> Iterator[Line]:
    """The lines of a file that this process does not write.

    Args:
        growing: another process may be writing it, so a last line without its end is passed over.

    Raises:
        PargoError: it cannot be read, or a line is damaged, as one without its end is in a finished file.
    """
    try:
        with path.open("rb") as file:
            yield from _lines(file, path, growing=growing)
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from error


def damaged(path: Path, number: int, what: str = "damaged") -> PargoError:
    """The error of a line that is not what it must be, and what can be done."""
    return PargoError(f"{path}:{number}: {what}; remove the line, or the file to begin anew")


def _lines(file: IO[bytes], path: Path, *, growing: bool) -> Iterator[Line]:
    place = 0
    for number, data in enumerate(file, start=1):
        if growing and not data.endswith(b"\n"):
            return
        try:
            row = json.loads(data) if data.endswith(b"\n") else None
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise damaged(path, number)
        yield Line(number, place, data, row)
        place += len(data)


def _drop_torn_line(file: IO[bytes]) -> None:
    """Cut the file behind its last end of a line."""
    size = end = file.seek(0, os.SEEK_END)
    whole = 0
    while end and not whole:
        start = max(0, end - _BLOCK)
        file.seek(start)
        whole, end = start + file.read(end - start).rfind(b"\n") + 1, start
        if whole == start:  # no end of a line in this block
            whole = 0
    if whole < size:
        file.truncate(whole)


def _sync_folder(folder: Path) -> None:
    """Wait until a new file's name is on disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
