"""Results as they come, a line each, so that a killed job goes on with the next image and nothing is paid for twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pargo.captions.samples import Result
from pargo.journal import Line, damaged, open_for, read_journal

KEY = "request"  # field of a line: hash of what was sent, image and text
SYNC_INTERVAL = 2.0  # seconds: what a machine that loses its power has to ask again; a killed process loses nothing


class RecordFile:
    """A journal (`pargo.journal`) of results of one kind of work.

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
        self.path, self.finished = path, dict[str, str]()
        use = "makes the same captions"
        self._journal, lines = open_for(path, spec, use=use, what="captions", sync_interval=SYNC_INTERVAL)
        try:
            for line in lines:
                _note(self.finished, _result(line, path))
        except BaseException:
            self._journal.close()
            raise

    def add(self, result: Result, key: str) -> None:
        """Append a result; a kill of this process after this call does not lose it.

        Args:
            key: hash of what the result is of: the image, and the text that was shown with it.

        Raises:
            PargoError: it cannot be written, e.g. to a full disk.
        """
        self._add(result.to_json() | {KEY: key})

    def _add(self, row: dict[str, Any]) -> None:
        self._journal.append(row)
        _note(self.finished, row)

    def adopt(self, other: Path, spec: str, wanted: Mapping[str, str]) -> None:
        """Append the results of another file of the same work; another process may be writing it.

        Args:
            wanted: ids, and the keys that their results must have: what was sent for an image may have been sent for
                the same image by another name.
        """
        lines = read_journal(other, growing=True)
        header = next(lines, None)
        if header is None or header.row.get("spec") != spec:
            return
        keys, found = {*wanted.values()}, dict[str, dict[str, Any]]()
        for line in lines:
            row = _result(line, other)
            if row.get("kind") == "unavailable":
                found.pop(row.get(KEY, ""), None)
            elif row.get(KEY) in keys:
                found[row[KEY]] = row
        for name, key in wanted.items():
            if key in found:
                self._add(found[key] | {"id": name})

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()


def _note(finished: dict[str, str], row: dict[str, Any]) -> None:
    """What the last result of an image says is what counts."""
    if row.get("kind") == "unavailable":
        finished.pop(row["id"], None)
    else:
        finished[row["id"]] = row.get(KEY, "")


def read_rows(path: Path) -> Iterator[tuple[str, int, int]]:
    """(id, place, length) of each result's line; a later line of an id replaces an earlier one."""
    for line in read_journal(path):
        if line.number > 1:
            yield _result(line, path)["id"], line.place, len(line.data)


def _result(line: Line, path: Path) -> dict[str, Any]:
    if not isinstance(line.row.get("id"), str):
        raise damaged(path, line.number)
    return line.row
