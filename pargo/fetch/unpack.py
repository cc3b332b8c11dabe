"""Unpack an archive that somebody else made, as `pargo.fetch.archives` allows: whole, or not at all."""

from __future__ import annotations

import errno
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pargo.errors import InputError
from pargo.fetch.archives import (
    DAMAGED,
    Bounded,
    CutOffError,
    Limits,
    Member,
    TarHeader,
    check_tar_end,
    tar_files,
    zip_files,
)

BLOCK = 1 << 20
LIMITS = Limits()


def unpack(archive: Path, directory: Path, *, limits: Limits = LIMITS, leave_out: tuple[str, ...] = ()) -> None:
    """Unpack a zip or tar file (also compressed) into a new directory, which appears when it is complete.

    Args:
        limits: of what is unpacked.
        leave_out: endings of names that are not written.

    Raises:
        InputError: no such archive, a damaged one, or one that `pargo.fetch.archives` refuses. Nothing is left of it.
        FileExistsError: there is such a directory.
    """
    if directory.exists():
        raise FileExistsError(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    where, packed = archive.name, archive.stat().st_size
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as folder:
        target = Path(folder) / "unpacked"
        target.mkdir()
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as opened_zip:
                    _write(where, zip_files(where, opened_zip, packed, limits), opened_zip.open, target, leave_out)
            else:
                with tarfile.open(archive, tarinfo=TarHeader) as opened_tar:
                    found, end = tar_files(where, opened_tar, packed, limits), opened_tar.offset
                    _write(where, found, opened_tar.extractfile, target, leave_out)
                    check_tar_end(where, opened_tar.fileobj, end)  # type: ignore[arg-type] # typeshed's own protocol
        except InputError:
            raise
        except (*DAMAGED, CutOffError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                if error.errno == errno.ENAMETOOLONG:
                    raise InputError(f"{where}: a name in it is too long for this file system") from None
                if error.errno != errno.EINVAL:  # a damaged zip sends its reader to a place before its beginning
                    raise  # the disk's, not the archive's
            raise InputError(f"{where} is no archive, or damaged: {error}") from error
        target.replace(directory)


def _write(
    where: str, members: list[Member], read: Callable[[Any], IO[bytes] | None], target: Path, leave_out: tuple[str, ...]
) -> None:
    for member in members:
        if member.name.endswith(leave_out):
            continue
        place = target / member.name
        place.parent.mkdir(parents=True, exist_ok=True)
        stream = read(member.info)
        if stream is None:
            raise InputError(f"{where}: {member.name!r} cannot be read")
        with stream, place.open("xb") as file:
            shutil.copyfileobj(Bounded(stream, member, where), file, BLOCK)
