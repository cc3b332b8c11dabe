"""Unpack an archive that somebody else made: nothing outside the target, no links or devices, no bomb."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from pargo.errors import InputError

BLOCK = 1 << 20
MAX_BYTES = 1 << 40  # of all files together
MAX_FILES = 5_000_000
# what damage makes zipfile and tarfile raise; RuntimeError also for encrypted files and unknown methods
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)
MAX_RATIO = 200  # unpacked / packed; images hardly shrink, text by some 10


class _Member(NamedTuple):
    name: str
    size: int
    key: object  # what the archive opens it by


def unpack(
    archive: Path,
    directory: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
    max_ratio: int = MAX_RATIO,
    leave_out: tuple[str, ...] = (),
) -> None:
    """Unpack a zip or tar file (also compressed) into a new directory, which appears when it is complete.

    Args:
        max_bytes, max_files, max_ratio: of what is unpacked, the last of the archive's own size.
        leave_out: endings of names that are not written.

    Raises:
        InputError: no such archive, a damaged one, or one that holds a name that leaves the directory, a link or
            another special file, a name twice, or more files or bytes than allowed. Nothing is left of it.
        FileExistsError: there is such a directory.
    """
    if directory.exists():
        raise FileExistsError(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    limit = min(max_bytes, max_ratio * archive.stat().st_size + BLOCK)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as folder:
        target = Path(folder) / "unpacked"
        target.mkdir()
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as opened_zip:
                    found = _checked(archive, _zip(archive, opened_zip), limit, max_files)
                    _write(archive, found, opened_zip.open, target, leave_out)
            else:
                with tarfile.open(archive) as opened_tar:
                    found = _checked(archive, _tar(archive, opened_tar), limit, max_files)
                    end = opened_tar.offset
                    _write(archive, found, opened_tar.extractfile, target, leave_out)
                    _check_end(archive, opened_tar.fileobj, end)
        except DAMAGED as error:
            if isinstance(error, OSError) and error.errno is not None:
                if error.errno == errno.ENAMETOOLONG:
                    raise InputError(f"{archive.name}: a name in it is too long for this file system") from None
                if error.errno != errno.EINVAL:  # a damaged zip sends its reader to a place before its beginning
                    raise  # the disk's, not the archive's
            raise InputError(f"{archive.name} is no archive, or damaged: {error}") from error
        target.replace(directory)


def _check_end(archive: Path, file: Any, end: int) -> None:
    """tarfile takes damage for the end; what compresses a tar checks its sum when all of it is read.

    Raises:
        ValueError: there is no end mark where the last member ends.
    """
    file.seek(end)
    if any(block := file.read(tarfile.BLOCKSIZE)) or len(block) < tarfile.BLOCKSIZE:
        raise ValueError(f"no header and no end mark at byte {end}")
    while file.read(BLOCK):
        pass


def _zip(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Member]:
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir():
            continue
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"{archive.name}: {info.filename!r} is a link or a special file; refused")
        # a name is cut at its first zero byte; the whole one is looked at
        yield _Member(info.orig_filename, info.file_size, info)


def _tar(archive: Path, opened: tarfile.TarFile) -> Iterator[_Member]:
    for info in opened:
        if info.isdir():
            continue
        if not info.isreg():
            raise InputError(f"{archive.name}: {info.name!r} is a link or a special file; refused")
        yield _Member(info.name, info.size, info)


def _write(archive: Path, members: list[_Member], read: object, target: Path, leave_out: tuple[str, ...]) -> None:
    for member in members:
        if member.name.endswith(leave_out):
            continue
        place = target / member.name
        place.parent.mkdir(parents=True, exist_ok=True)
        stream: IO[bytes] | None = read(member.key)  # type: ignore[operator]
        if stream is None:
            raise InputError(f"{archive.name}: {member.name!r} cannot be read")
        with stream, place.open("xb") as file:
            shutil.copyfileobj(_Bounded(stream, member, archive), file, BLOCK)


def _checked(archive: Path, members: Iterator[_Member], limit: int, max_files: int) -> list[_Member]:
    """All members, before a byte is written; a list without end is not read to its end."""
    found: list[_Member] = []
    names: set[str] = set()
    folders: set[str] = set()
    total = 0
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not path.parts or any(c in member.name for c in "\\:\0"):
            raise InputError(f"{archive.name}: {member.name!r} would be written outside the target; refused")
        folded = PurePosixPath(path.as_posix().casefold())
        if str(folded) in names:
            raise InputError(f"{archive.name}: {member.name!r} is in it twice; refused")
        names.add(str(folded))
        folders.update(map(str, folded.parents))
        total += member.size
        found.append(member)
        if len(found) > max_files or total > limit:
            raise InputError(
                f"{archive.name}: would unpack to {total:,} bytes in {len(found):,} files or more; at most {limit:,} "
                f"bytes in {max_files:,} files are accepted"
            )
    if both := names & folders:
        raise InputError(f"{archive.name}: {min(both)!r} is both a file and a folder; refused")
    return found


class _Bounded:
    """A stream that is an error when it is longer than its archive says."""

    def __init__(self, stream: IO[bytes], member: _Member, archive: Path) -> None:
        self._stream, self._left, self._member, self._archive = stream, member.size, member, archive

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(f"{self._archive.name}: {self._member.name!r} is longer than stated; refused")
        return data
