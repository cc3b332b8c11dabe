"""Official files as they come: alone, in folders or in zips, and the hub's parquet tables; with their images."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pargo.benchmarks.archive import open_files
from pargo.benchmarks.questions import image_extension
from pargo.benchmarks.rows import Row, read_bytes, shorten
from pargo.errors import PargoError


class Entry(NamedTuple):
    """A file, wherever it is: its path below the folder or zip, its name in errors, and its bytes on demand."""

    name: str
    where: str
    read: Callable[[], bytes]
    path: Path | None = None  # None inside a zip


class OfficialFiles:
    """All files of the given files, folders and zips; use as a context manager.

    Raises:
        PargoError: a path does not exist, or a zip is broken.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = ", ".join(map(str, paths))
        self._open = ExitStack()
        entries = [entry for path in paths for entry in self._entries(path)]
        # hidden files and folders are not part of any benchmark; macOS adds some to zips
        self.entries = [
            entry
            for entry in entries
            if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(entry.name).parts)
        ]
        self._by_name: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            self._by_name[PurePosixPath(entry.name).name].append(entry)

    def _entries(self, path: Path) -> Iterator[Entry]:
        if path.is_dir():
            for file in sorted(file for file in path.rglob("*") if file.is_file()):
                yield Entry(file.relative_to(path).as_posix(), str(file), partial(read_bytes, file), file)
        elif not path.exists():
            raise PargoError(f"{path} does not exist")
        elif path.suffix.lower() == ".zip":
            for name, read in self._open.enter_context(open_files(path)).items():
                yield Entry(name, f"{path}/{name}", read)
        else:
            yield Entry(path.name, str(path), partial(read_bytes, path), path)

    def with_suffix(self, *suffixes: str) -> list[Entry]:
        """The files whose names end so, in order."""
        return [entry for entry in self.entries if PurePosixPath(entry.name).suffix.lower() in suffixes]

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
            raise PargoError(f"{where}: {problem} named {' or '.join(names)} in {self.paths}")
        return found[0].read()

    def __enter__(self) -> OfficialFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def parquet_rows(entry: Entry) -> Iterator[Row]:
    """The rows of a parquet file, a few at a time, since they hold images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(entry.path or pa.BufferReader(entry.read())) as file:
            for batch in file.iter_batches(batch_size=64):
                for record in batch.to_pylist():
                    yield Row(f"{entry.where}: row {number}", record)
                    number += 1
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PargoError(f"{entry.where}: not a readable parquet file: {error}") from None


def hub_image(row: Row) -> bytes:
    """The bytes of a row's `image`: a struct {bytes, path}, or a list of one.

    Raises:
        PargoError: none, several, or one whose bytes are not in the file.
    """
    images = row.value("image")
    images = images if isinstance(images, list) else [images]
    if len(images) != 1 or not isinstance(images[0], dict) or not isinstance(images[0].get("bytes"), bytes):
        raise PargoError(f"{row.where}: `image` must hold the bytes of one image, found {shorten(images)}")
    return images[0]["bytes"]


class UniqueImages:
    """Images by name, each written once, to `images/<name>.<extension of its bytes>`."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self._digests: dict[str, bytes] = {}

    def add(self, name: str, data: bytes, where: str) -> list[tuple[str, bytes]]:
        """Path and bytes to write: one image, or none where it is there already.

        Raises:
            PargoError: the bytes are no image, or the name had others; begins with `where`.
        """
        digest = hashlib.sha256(data).digest()
        if self._digests.setdefault(name, digest) != digest:
            raise PargoError(f"{where}: image {name!r} is other than in an earlier row")
        if name in self.paths:
            return []
        self.paths[name] = f"images/{name}{image_extension(data, f'{where}: image {name!r}')}"
        return [(self.paths[name], data)]
