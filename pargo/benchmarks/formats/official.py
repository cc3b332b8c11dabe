"""Official files as they come: alone, in folders or in zips. Nothing is unpacked, so no member is written anywhere."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pargo.benchmarks.formats.rows import is_hidden, read_bytes
from pargo.errors import PargoError
from pargo.fetch.archives import DAMAGED, Limits, zip_files

MAX_FILE_BYTES = 2**30  # of a zip's member, unpacked: the hub's tables have up to half a GiB
MAX_ZIP_BYTES = 64 * 2**30  # unpacked; the largest, SEED-Bench's images, have less


class Entry(NamedTuple):
    """A file, wherever it is: its path below the folder or zip, its name in errors, and its bytes on demand."""

    name: str
    where: str
    read: Callable[[], bytes]
    path: Path | None = None  # None inside a zip


class Files:
    """The files of some files, folders and zips; `where` names these for errors."""

    def __init__(self, entries: Sequence[Entry], where: str) -> None:
        self.entries = entries
        self.where = where
        self.by_path = {entry.name: entry for entry in entries}
        self._by_name: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._by_name[PurePosixPath(entry.name).name].append(entry)

    def with_suffix(self, *suffixes: str) -> list[Entry]:
        """The files whose names end so, in order."""
        return [entry for entry in self.entries if PurePosixPath(entry.name).suffix.lower() in suffixes]

    def named(self, name: str) -> list[Entry]:
        """The files of this name, those nearest to the top first."""
        return sorted(self._by_name.get(name, ()), key=lambda entry: entry.name.count("/"))

    def find(self, names: Sequence[str], where: str) -> bytes:
        """The bytes of the one file that has one of these names, or ends in one that is a path.

        Raises:
            PargoError: none, or several; begins with `where`.
        """
        found = [
            entry
            for name in names
            for entry in self._by_name.get(PurePosixPath(name).name, ())
            if f"/{entry.name}".endswith(f"/{name}")
        ]
        if len(found) != 1:
            problem = f"{len(found)} files, e.g. {found[0].where} and {found[1].where}," if found else "no file"
            raise PargoError(f"{where}: {problem} named {' or '.join(names)} in {self.where}")
        return found[0].read()


@contextmanager
def open_files(paths: Sequence[Path]) -> Iterator[Files]:
    """All files of the given files, folders and zips; hidden files in them are left out.

    Raises:
        PargoError: a path that does not exist, a broken zip, or one that `pargo.fetch.archives` refuses.
    """
    with ExitStack() as stack:
        entries = [entry for path in paths for entry in _entries(path, stack)]
        yield Files(entries, ", ".join(map(str, paths)) or "nothing")


def _entries(path: Path, stack: ExitStack) -> Iterator[Entry]:
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            name = file.relative_to(path).as_posix()
            if not is_hidden(name):
                yield Entry(name, str(file), partial(read_bytes, file), file)
    elif not path.exists():
        raise PargoError(f"{path} does not exist")
    elif path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        yield from _members(path, stack)
    else:
        yield Entry(path.name, str(path), partial(read_bytes, path), path)


def _members(path: Path, stack: ExitStack) -> Iterator[Entry]:
    limits = Limits(max_bytes=MAX_ZIP_BYTES, max_file_bytes=MAX_FILE_BYTES)
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except DAMAGED as error:
        raise PargoError(f"{path}: not a readable zip: {error}") from None
    for member in zip_files(str(path), archive, path.stat().st_size, limits):
        if not is_hidden(member.name):
            where = f"{path}/{member.name}"
            yield Entry(member.name, where, partial(_read_member, archive, member.info, where))


def _read_member(archive: zipfile.ZipFile, info: Any, where: str) -> bytes:
    try:
        return archive.read(info)  # stops at the size that was checked
    except DAMAGED as error:
        raise PargoError(f"cannot read {where}: {error}") from None
