"""Artifacts in their places: a new one takes a place when it is whole, and the old one moves below `.pargo/kept/`.

There `pargo.store` finds it, and `pargo gc` removes it. Whatever a kill or a full disk interrupts: the old artifact is
in its place or set aside, and so is a new one that was whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pargo.files import write_atomic
from pargo.layout import MANIFEST, manifest_path

KEPT = Path(".pargo/kept")
LOCK = KEPT.with_name("kept.lock")
ORIGIN = "from"  # file beside an artifact that was set aside: where it was


@contextmanager
def alone_with_kept() -> Iterator[None]:
    """One process at a time sets aside, takes from what was set aside, or removes of it; not to be nested."""
    with ExitStack() as stack:
        with suppress(OSError):  # some network file systems have no locks, and a full disk has no room for one
            LOCK.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(LOCK.open("a")), fcntl.LOCK_EX)
        yield


@contextmanager
def new_place(output: Path) -> Iterator[Path]:
    """An empty folder for a new artifact, beside where `put` will move it; the folder is gone in the end.

    What killed processes left there goes first. In both cases what is whole is set aside: it has its manifest.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    for path in output.parent.glob(f".{output.name}.*"):
        if path.is_dir() and not _in_use(path):
            _end(path)
    for path in output.parent.glob(f".{output.name}.*"):
        if not path.is_dir() and not path.with_name(path.name.removesuffix(MANIFEST)).is_dir():
            path.unlink(missing_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    lock = os.open(temporary, os.O_RDONLY)
    try:
        temporary.chmod(0o755)
        with suppress(OSError):  # some network file systems have no locks of folders
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield temporary
    finally:
        os.close(lock)
        _end(temporary)


def complete(temporary: Path, manifest: str | bytes) -> None:
    """Write the manifest of an artifact in its `new_place`: from now on it counts as whole."""
    new = temporary.with_name(f"{temporary.name}.new")
    new.write_bytes(manifest.encode() if isinstance(manifest, str) else manifest)
    new.replace(manifest_path(temporary))


def put(temporary: Path, output: Path) -> None:
    """Move a whole artifact from its `new_place` to where it belongs; what is there is set aside.

    Raises:
        OSError: it cannot be, as on a full disk; the old one is in its place then.
    """
    manifest, old = manifest_path(temporary).read_bytes(), set_aside(output)
    try:
        write_atomic(manifest_path(output), manifest)
        temporary.replace(output)
    except BaseException:
        if old is not None and not output.exists():
            with suppress(OSError), alone_with_kept():  # else it stays where `pargo.store` finds it
                write_back = manifest_path(old)
                write_back.replace(manifest_path(output))
                old.replace(output)
                shutil.rmtree(old.parent, ignore_errors=True)
        raise


def set_aside(directory: Path) -> Path | None:
    """Move an artifact out of the way, where `pargo.store` finds it; one without manifest or files is removed.

    Only what lies below `artifacts/` is kept: other places are a person's own.

    Returns:
        Where it is now, if it was kept.
    """
    if not directory.exists():
        return None
    kind, manifest = kind_of(directory), manifest_path(directory)
    if kind is None or not manifest.is_file() or not any(directory.iterdir()):
        shutil.rmtree(directory)
        return None
    with alone_with_kept():
        (KEPT / kind).mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=KEPT / kind))
        kept = folder / directory.name
        try:
            shutil.copyfile(manifest, manifest_path(kept))
            (folder / ORIGIN).write_text(directory.as_posix(), encoding="utf-8")
            move(directory, kept)
        except BaseException:
            if not kept.exists():
                shutil.rmtree(folder, ignore_errors=True)
            raise
    return kept


def move(directory: Path, target: Path) -> None:
    """Move a folder to where there is none or an empty one, also to another disk."""
    try:
        directory.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(directory, target, dirs_exist_ok=True)
        shutil.rmtree(directory)


def kept() -> list[Path]:
    """All artifacts that were set aside."""
    return sorted(path for path in KEPT.glob("*/*/*") if path.is_dir())


def kind_of(directory: Path) -> str | None:
    """The kind of an artifact, e.g. `models`; None where it is none of this project."""
    parts = directory.parts
    return parts[2] if len(parts) > 3 and parts[0] == "artifacts" else None


def _in_use(temporary: Path) -> bool:
    """Does a process that is alive make an artifact there? The lock ends with the process."""
    try:
        handle = os.open(temporary, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _end(temporary: Path) -> None:
    """Set a whole artifact aside, and remove anything else; what a full disk does not allow is for the next one."""
    with suppress(OSError):
        set_aside(temporary)
        manifest_path(temporary).unlink(missing_ok=True)
