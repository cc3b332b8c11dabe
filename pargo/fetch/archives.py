"""What an archive that somebody else made may hold: one policy, for all that unpack one or read in one.

| refused | because |
|---|---|
| a name that is absolute, or holds `..`, a backslash or a zero byte | it leads out of the folder, here or on Windows |
| a name with a colon, where files are named by it | `C:x` is a drive of Windows, `a:b` a hidden stream of `a` |
| a link, a device, a pipe | what is read or written through it lies elsewhere |
| a sparse file of a tar | a few bytes that stand for any number of zeros |
| a name twice, or twice but for its case; a file that is also a folder | which one counts depends on who reads |
| encrypted files, methods other than store and deflate | no official file is; LZMA may ask for 4 GiB of memory |
| more files, bytes, or bytes for each packed byte than `Limits` | a bomb; images hardly shrink, text by some 10 |
| a long header of a tar | tarfile reads it into memory |
| data behind the end of a tar | half of two tars in one file would be lost unseen |

All is looked at before a byte is used, and folders like files. `pargo.sources.tars` reads pools of images by key and
place, and names no file by what is in them. So any key may have a colon there, and a key that is there twice breaks
that sample, not the pool.
"""

from __future__ import annotations

import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import IO, NamedTuple

from pargo.errors import InputError
from pargo.fetch.names import leads_out

MAX_HEADER = 1 << 20  # bytes of a long name or of pax fields
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SLACK = 1 << 20  # bytes that an archive may always unpack to, however small it is
# what damage makes zipfile and tarfile raise; a RuntimeError is also a header in a header, a thousand deep
DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,
    OverflowError,
    EOFError,
    OSError,
    ValueError,
)
_BLOCK = 1 << 20
_ENCRYPTED = 0x2041  # flags of a zip's member: its bytes, its strong kind, its directory
_LONG = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class CutOffError(Exception):
    """A tar ends before its end: who wrote it was killed."""


class Limits(NamedTuple):
    """How much an archive may hold, unpacked; `max_ratio` is of the archive's own size."""

    max_bytes: int = 1 << 40
    max_files: int = 5_000_000
    max_file_bytes: int = 1 << 40
    max_ratio: int = 200


class Member(NamedTuple):
    """A file in an archive: its name without `./` and `//`, its size, and what the archive opens it by."""

    name: str
    size: int
    info: zipfile.ZipInfo | tarfile.TarInfo


def zip_files(where: str, archive: zipfile.ZipFile, packed: int, limits: Limits) -> list[Member]:
    """The files of a zip, in order.

    Args:
        where: what an error calls it.
        packed: its size, bytes.

    Raises:
        InputError: it holds something that is refused.
    """
    return _checked(where, map(_of_zip, archive.infolist()), packed, limits)


def tar_files(where: str, archive: tarfile.TarFile, packed: int, limits: Limits) -> list[Member]:
    """The files of a tar that was opened with `TarHeader`, in order; see `zip_files`. Its end is to be checked."""
    return _checked(where, map(_of_tar, archive), packed, limits)


def check_tar_member(where: str, info: tarfile.TarInfo) -> None:
    """Raise InputError for a member that is refused where no file is named by it."""
    _check(where, _of_tar(info), by_name=False)


class TarHeader(tarfile.TarInfo):
    """With a limit on what tarfile reads before it gives a member; `_proc_member` is its hook for that."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _LONG and self.size > MAX_HEADER):
            raise InputError(f"{archive.name!r}: a header at byte {self.offset} says {self.size} bytes; refused")
        return super()._proc_member(archive)  # type: ignore[misc]


def check_tar_end(where: str, file: IO[bytes], end: int) -> None:
    """Look behind the last member: tarfile stops at whatever is no header, be it two blocks of zeros or damage.

    All of it is read, so what unpacks it checks its sum.

    Raises:
        CutOffError: there is no end mark.
        InputError: there is something else.
    """
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise CutOffError("it has no end mark")
    if any(block):
        raise InputError(f"{where} is damaged: no header at byte {end}")
    while block := file.read(_BLOCK):
        if any(block):
            raise InputError(f"{where} holds data behind its end, at byte {end}: are these several tars in one file?")


class _Found(NamedTuple):
    """What both formats say of a member: `problem` is what the format itself says against it."""

    name: str
    size: int
    is_folder: bool
    problem: str
    info: zipfile.ZipInfo | tarfile.TarInfo


def _of_zip(info: zipfile.ZipInfo) -> _Found:
    is_folder, kind = info.is_dir(), stat.S_IFMT(info.external_attr >> 16)
    problem = ""
    if kind not in (0, stat.S_IFREG) and not (is_folder and kind == stat.S_IFDIR):
        problem = "is a link or a special file"
    elif info.flag_bits & _ENCRYPTED:
        problem = "is encrypted"
    elif info.compress_type not in METHODS:
        problem = "is neither stored nor deflated"
    # zipfile cuts a name at its first zero byte; the whole one is looked at
    return _Found(info.orig_filename, info.file_size, is_folder, problem, info)


def _of_tar(info: tarfile.TarInfo) -> _Found:
    problem = ""
    if not (info.isreg() or info.isdir()) or info.issparse() or info.type == tarfile.GNUTYPE_SPARSE:
        problem = "is a link or a special file"
    elif info.size < 0:
        problem = f"has {info.size} bytes"
    return _Found(info.name, info.size, info.isdir(), problem, info)


def _check(where: str, found: _Found, *, by_name: bool) -> None:
    is_top = found.is_folder and PurePosixPath(found.name) == PurePosixPath()  # `./`, as tar writes it
    if not is_top and leads_out(found.name, by_name=by_name):
        raise InputError(f"{where}: {found.name!r} leads out of the archive; refused")
    if found.problem:
        raise InputError(f"{where}: {found.name!r} {found.problem}; refused")


def _checked(where: str, members: Iterable[_Found], packed: int, limits: Limits) -> list[Member]:
    """All files; of a list without end no more is read than is allowed."""
    files: dict[str, Member] = {}  # by name in lower case
    folders: set[str] = set()
    total, limit = 0, min(limits.max_bytes, limits.max_ratio * packed + SLACK)
    for number, found in enumerate(members, start=1):
        _check(where, found, by_name=True)
        path = PurePosixPath(found.name)
        folded = PurePosixPath(path.as_posix().casefold())
        folders.update(map(str, folded.parents))
        if found.is_folder:
            folders.add(str(folded))
        else:
            if other := files.get(str(folded)):
                same = other.name == str(path)
                problem = "is there twice" if same else f"and {other.name!r} differ in upper and lower case alone"
                raise InputError(f"{where}: {str(path)!r} {problem}; refused")
            if found.size > limits.max_file_bytes:
                raise InputError(
                    f"{where}: {str(path)!r} has {found.size:,} bytes, more than {limits.max_file_bytes:,}"
                )
            files[str(folded)] = Member(str(path), found.size, found.info)
            total += found.size
        if number > limits.max_files or total > limit:
            raise InputError(
                f"{where}: would unpack to {total:,} bytes in {number:,} files or more; at most {limit:,} bytes in "
                f"{limits.max_files:,} files are accepted"
            )
    if both := files.keys() & folders:
        raise InputError(f"{where}: {min(both)!r} is both a file and a folder; refused")
    return list(files.values())


class Bounded:
    """A stream of a member that is an error when it is longer than its archive says."""

    def __init__(self, stream: IO[bytes], member: Member, where: str) -> None:
        self._stream, self._left, self._member, self._where = stream, member.size, member, where

    def read(self, size: int = -1) -> bytes:
        """The next bytes; InputError when there are more than stated."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InputError(f"{self._where}: {self._member.name!r} is longer than stated; refused")
        return data
