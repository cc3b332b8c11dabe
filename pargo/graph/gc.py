"""`pargo gc`: artifacts that were set aside when others took their places, and which of them may go."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pargo.errors import PargoError
from pargo.files import read_json
from pargo.kept import KEPT, ORIGIN, alone_with_kept, kept
from pargo.layout import manifest_path
from pargo.manifest import RUN_RECORD
from pargo.units import duration, size


class Kept(NamedTuple):
    """An artifact that was set aside.

    Args:
        directory: where it is.
        origin: where it was.
        size: in bytes.
        when: it was set aside.
        made: when, how long it took, and by which commit, as far as that is known.
        recorded: does a commit of any branch or tag have its manifest?
    """

    directory: Path
    origin: str
    size: int
    when: datetime
    made: str
    recorded: bool


def list_kept() -> list[Kept]:
    """What was set aside, the oldest first; called in the project's folder.

    Raises:
        PargoError: git's history cannot be read.
    """
    with alone_with_kept():
        paths = kept()
        recorded = _recorded([manifest_path(path) for path in paths])
        rows = [_row(path, manifest_path(path) in recorded) for path in paths]
    return sorted(rows, key=lambda row: row.when)


def removable(rows: Sequence[Kept], everything: bool = False) -> list[Kept]:
    """Those that no recorded version needs, or all."""
    return [row for row in rows if everything or not row.recorded]


def remove(rows: Sequence[Kept]) -> None:
    """Remove artifacts that were set aside, and what killed processes left beside them.

    One that a job has taken back meanwhile is not here any more.
    """
    with alone_with_kept():
        for row in rows:
            manifest_path(row.directory).unlink(missing_ok=True)  # first: what is half gone is nothing that was made
            shutil.rmtree(row.directory.parent, ignore_errors=True)
        whole = {path.parent for path in kept()}
        for folder in KEPT.glob("*/*"):
            if folder not in whole:
                shutil.rmtree(folder, ignore_errors=True)


def lines_of(rows: Sequence[Kept]) -> Iterator[str]:
    """What `pargo gc` prints."""
    if not rows:
        yield "nothing was set aside"
        return
    for row in rows:
        note = "; a commit recorded it" if row.recorded else ""
        place = f"{row.origin}, now {row.directory}"
        yield f"{size(row.size) or '0 B':>9}  {row.when:%Y-%m-%d %H:%M}  {place}: {row.made}{note}"
    yield f"{_total(rows)} in all; a commit recorded {_total([row for row in rows if row.recorded])} of it"


def _total(rows: Sequence[Kept]) -> str:
    return f"{len(rows)} artifact{'' if len(rows) == 1 else 's'} ({size(sum(row.size for row in rows)) or '0 B'})"


def _row(directory: Path, recorded: bool) -> Kept:
    origin = directory.parent / ORIGIN
    return Kept(
        directory,
        origin.read_text(encoding="utf-8") if origin.is_file() else directory.as_posix(),
        sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()),
        datetime.fromtimestamp(directory.parent.stat().st_mtime, UTC),
        _made(directory),
        recorded,
    )


def _made(directory: Path) -> str:
    try:
        record = read_json(directory / RUN_RECORD)
        took, commit = duration(float(record["seconds"])), str(record["commit"])[:12]
        return f"made {record['started']} in {took} by commit {commit}"
    except (PargoError, KeyError, TypeError, ValueError):
        return "made at an unknown time"


def _recorded(manifests: Sequence[Path]) -> set[Path]:
    """Those whose content is that of a manifest in any commit: git names both by the same hash."""
    there = [path for path in manifests if path.is_file()]
    if not there or not Path(".git").exists():
        return set()
    heads = ["HEAD"] if _git("rev-parse", "--quiet", "--verify", "HEAD", check=False).strip() else []
    # full: else git leaves out the side of a merge whose manifests the merge did not keep
    objects = _git("rev-list", "--objects", "--full-history", "--all", *heads, "--", "artifacts").splitlines()
    known = {line.partition(" ")[0] for line in objects if line.endswith(".json")}
    given = "".join(f"{path}\n" for path in there)
    hashes = _git("hash-object", "--no-filters", "--stdin-paths", given=given).split()
    return {path for path, digest in zip(there, hashes, strict=True) if digest in known}


def _git(*arguments: str, given: str = "", check: bool = True) -> str:
    try:
        done = subprocess.run(["git", *arguments], input=given, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PargoError(f"cannot ask git which versions are recorded: {error.strerror}") from error
    if check and done.returncode:
        raise PargoError(f"cannot ask git which versions are recorded: {done.stderr.strip()}")
    return done.stdout
