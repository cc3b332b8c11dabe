"""Single files: hashed, written whole or not at all, and JSON read with errors that say which file."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pargo.errors import PargoError

_FICLONE = 0x40049409  # of Linux: btrfs, XFS, bcachefs and others can do it


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_file(path: Path) -> str:
    """Hex md5 of a file's bytes: for files whose owners publish no better hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file so that readers see the old content or the new, never a part; parents are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file with its times. It takes no room where the file system shares the blocks until one is changed.

    No hard link: an edit or a truncation of one file would change the other, too.
    """
    try:
        with open(source, "rb") as old, open(target, "wb") as new:  # noqa: PTH123 - as of `shutil`
            fcntl.ioctl(new, _FICLONE, old.fileno())
        shutil.copystat(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def new_directory(output: Path) -> Iterator[Path]:
    """A directory to fill, which appears as `output` at the end, and not at all after an error.

    Raises:
        PargoError: `output` exists already.
    """
    if output.exists():
        raise PargoError(f"{output} exists already: remove it or name another directory")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        temporary = Path(folder) / output.name
        temporary.mkdir()
        yield temporary
        temporary.rename(output)


@contextmanager
def new_files(output: Path) -> Iterator[Path]:
    """A directory to fill with files of `output`: they move there at the end, and none does after an error.

    Others in `output` stay. One process at a time makes them.
    """
    temporary = output.with_name(f".{output.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed process
    temporary.mkdir(parents=True)
    try:
        yield temporary
        output.mkdir(parents=True, exist_ok=True)
        for path in sorted(temporary.iterdir()):
            path.replace(output / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_json(path: Path) -> Any:
    """A JSON file; PargoError when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PargoError(f"{path} does not exist: the stage that makes it has not run") from None
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise PargoError(f"{path} is not valid JSON: {error}") from error


def user_cache_directory() -> Path:
    """`$XDG_CACHE_HOME/pargo`, or `~/.cache/pargo`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "pargo"
