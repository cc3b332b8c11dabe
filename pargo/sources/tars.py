"""Tar files read once from front to back, nothing unpacked; `pargo.fetch.archives` refuses attacks, a cut is told."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pargo.errors import InputError
from pargo.fetch.archives import CutOffError, TarHeader, check_tar_end, check_tar_member


@dataclass(frozen=True)
class Member:
    """A regular file in a tar: its name, and where its bytes are."""

    name: str
    offset: int
    size: int

    def read(self, tar: BinaryIO) -> bytes:
        """The member's bytes, wherever the tar is read now."""
        return os.pread(tar.fileno(), self.size, self.offset)


def members(path: Path, file: BinaryIO) -> Iterator[Member]:
    """The regular files of a plain tar in their order; folders are passed over.

    Args:
        path: what an error calls it.
        file: the tar, open for reading; members are read while the iteration goes on, or later.

    Raises:
        InputError: no plain tar, a damaged one, or one that `pargo.fetch.archives` refuses.
        CutOffError: at the end, if it ends before its end; all that it holds has been given.
    """
    size = os.fstat(file.fileno()).st_size
    if size < tarfile.BLOCKSIZE:
        raise CutOffError("it is shorter than a header")
    try:
        with tarfile.open(path, "r:", file, tarinfo=TarHeader) as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined] # tarfile would keep every header
                check_tar_member(str(path), info)
                if info.offset_data + info.size > size:
                    raise CutOffError(f"{info.name} ends beyond its end")
                if info.isreg():
                    yield Member(info.name, info.offset_data, info.size)
            end = archive.offset
    except (tarfile.TarError, RecursionError, OverflowError) as error:
        if isinstance(error, tarfile.ReadError) and "unexpected end" in str(error):
            raise CutOffError("a file in it ends beyond its end") from error
        raise InputError(f"{path} is no plain tar file, or damaged: {error}") from error
    check_tar_end(str(path), file, end)
