"""Tar files read once from front to back, nothing unpacked: what only an attack needs is refused, a cut is told."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pargo.errors import InputError

MAX_HEADER = 1 << 20  # bytes of a long name or of pax fields, which tarfile reads into memory
_LONG = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_BLOCK = 1 << 20


class CutOffError(Exception):
    """A tar ends before its end: who wrote it was killed. All that it holds has been given."""


@dataclass(frozen=True)
class Member:
    """A regular file in a tar: its name, and where its bytes are."""

    name: str
    offset: int
    size: int

    def read(self, tar: BinaryIO) -> bytes:
        """Its bytes, wherever the tar is read now."""
        return os.pread(tar.fileno(), self.size, self.offset)


class _Header(tarfile.TarInfo):
    """With a limit on what tarfile reads before it gives a member; `_proc_member` is its hook for that."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _LONG and self.size > MAX_HEADER):
            raise InputError(f"{archive.name!r}: a header at byte {self.offset} says {self.size} bytes; refused")
        return super()._proc_member(archive)  # type: ignore[misc]


def members(path: Path, file: BinaryIO) -> Iterator[Member]:
    """The regular files of a plain tar in their order; folders are passed over.

    Args:
        path: what an error calls it.
        file: the tar, open for reading; members are read while the iteration goes on, or later.

    Raises:
        InputError: no plain tar, a damaged one, or one with a link, a device, another special file, a sparse file, a
            name that is absolute or leaves the folder, a header of more than 1 MiB, or data behind its end.
        CutOffError: at the end, if it ends before its end.
    """
    size = os.fstat(file.fileno()).st_size
    if size < tarfile.BLOCKSIZE:
        raise CutOffError("it is shorter than a header")
    try:
        with tarfile.open(path, "r:", file, tarinfo=_Header) as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # tarfile would keep every header
                _check(path, info)
                if info.offset_data + info.size > size:
                    raise CutOffError(f"{info.name} ends beyond its end")
                if info.isreg():
                    yield Member(info.name, info.offset_data, info.size)
            end = archive.offset
    except (tarfile.TarError, RecursionError, OverflowError) as error:
        if isinstance(error, tarfile.ReadError) and "unexpected end" in str(error):
            raise CutOffError("a file in it ends beyond its end") from error
        raise InputError(f"{path} is no plain tar file, or damaged: {error}") from error
    _check_end(path, file, end)


def _check(path: Path, info: tarfile.TarInfo) -> None:
    name = info.name
    if not (info.isreg() or info.isdir()) or info.issparse() or info.type == tarfile.GNUTYPE_SPARSE:
        raise InputError(f"{path}: {name!r} is a link or a special file; refused: remove this tar from its folder")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name or info.size < 0:
        raise InputError(f"{path}: {name!r} names a place outside the tar; refused: remove this tar from its folder")


def _check_end(path: Path, file: BinaryIO, end: int) -> None:
    """tarfile stops at whatever is no header: two blocks of zeros, the end of the file, or damage."""
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise CutOffError("it has no end mark")
    if any(block):
        raise InputError(f"{path} is damaged: no header at byte {end}")
    while block := file.read(_BLOCK):
        if any(block):
            raise InputError(f"{path} holds data behind its end, at byte {end}: are these several tars in one file?")
