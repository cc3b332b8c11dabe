"""The files of a folder or a zip, by path. Nothing is unpacked, so no member can be written anywhere."""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from pargo.errors import PargoError

MAX_FILE_BYTES = 256 * 2**20
MAX_ZIP_BYTES = 8 * 2**30  # unpacked; MME has less than 1 GiB
# a broken zip makes zipfile raise any of these
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)

Files = Mapping[str, Callable[[], bytes]]


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """What reads each file below a folder or in a zip, by its path there; hidden files and macOS's copies are left out.

    Raises:
        PargoError: no folder and no zip; a member of the zip that leads out of it, is a symbolic link, encrypted,
            packed in an unusual way, there twice, or too large.
    """
    if path.is_dir():
        below = sorted(file for file in path.rglob("*") if file.is_file())
        yield _without_hidden({file.relative_to(path).as_posix(): partial(_read_file, file) for file in below})
        return
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise PargoError(f"{path}: neither a folder nor a zip: {error}") from error
    with archive:
        files: dict[str, Callable[[], bytes]] = {}
        total = 0
        for info in archive.infolist():
            _check(info, path)
            if info.is_dir():
                continue
            if info.filename in files:
                raise PargoError(f"{path}: {info.filename!r} is there twice")
            total += info.file_size
            files[info.filename] = partial(_read, archive, info, path)
        if total > MAX_ZIP_BYTES:
            raise PargoError(f"{path}: {total:,} bytes unpacked, more than {MAX_ZIP_BYTES:,}")
        yield _without_hidden(files)


def _without_hidden(files: Files) -> Files:
    return {
        name: read
        for name, read in files.items()
        if not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
    }


def _check(info: zipfile.ZipInfo, path: Path) -> None:
    name = info.filename
    if name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name:
        raise PargoError(f"{path}: {name!r} leads out of the archive")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise PargoError(f"{path}: {name!r} is a symbolic link")
    if info.flag_bits & 1:
        raise PargoError(f"{path}: {name!r} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PargoError(f"{path}: {name!r} is neither stored nor deflated")
    if info.file_size > MAX_FILE_BYTES:
        raise PargoError(f"{path}: {name!r} has {info.file_size:,} bytes, more than {MAX_FILE_BYTES:,}")


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from error


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    try:
        return archive.read(info)  # stops at the size that was checked
    except BROKEN as error:
        raise PargoError(f"{path}: cannot read {info.filename!r}: {error}") from error
