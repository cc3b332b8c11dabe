"""Contents of files that were read before: a file whose size and times are as they were then need not be hashed again.

Kept below `.pargo/seen/`, which may be removed at any time: then everything is read once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from pargo.code import ROOT
from pargo.files import sha256_file, write_atomic

FOLDER = ROOT / ".pargo" / "seen"


class Seen:
    """The sha256 of the files below one directory.

    Args:
        directory: whose files are asked for.
        trust_times: take what is known of a file whose size and times have not changed.
    """

    def __init__(self, directory: Path, *, trust_times: bool = True) -> None:
        full = os.path.abspath(directory)  # noqa: PTH100 - links stay
        self._root = Path(full)
        self._file = FOLDER / f"{hashlib.sha256(full.encode()).hexdigest()[:32]}.json"
        self._known = self._read() if trust_times else {}
        self._now: dict[str, list[object]] = {}

    def sha256(self, name: str) -> str:
        """The hash of a file, by its path below the directory."""
        found = (self._root / name).stat()
        stamp = [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        known = self._known.get(name)
        digest = known[-1] if known and known[:-1] == stamp else sha256_file(self._root / name)
        self._now[name] = [*stamp, digest]
        return str(digest)

    def keep(self) -> None:
        """Write down what was asked for, where it is news; what cannot be written is read again."""
        if self._now != self._known and self._now:
            with contextlib.suppress(OSError):
                write_atomic(self._file, json.dumps(self._now))

    def _read(self) -> dict[str, list[object]]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def files_below(directory: Path) -> Iterator[str]:
    """Paths of all files below a directory, relative to it and sorted."""
    found = (path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    yield from sorted(found)


def content(path: Path) -> str:
    """One hash of a file, or of names and contents of the files below a folder; empty where there are none."""
    names = [""] if path.is_file() else files_below(path)
    seen = Seen(path)
    rows = {name: [(path / name).stat().st_size, seen.sha256(name)] for name in names}
    seen.keep()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest() if rows else ""
