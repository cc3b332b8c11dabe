"""Operations on an artifact, in processes that are interrupted at their n-th call that changes files."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pargo.code import code_hash
from pargo.errors import PargoError
from pargo.kept import set_aside
from pargo.made import Spec
from pargo.manifest import publish
from pargo.store import restore

OUTPUT, OTHER = Path("artifacts/one/models/arm"), Path("artifacts/two/models/arm")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.helpers.faults"])
FILES = ("a", "b", "c")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod")
NEED_ROOM = ("os.mkdir", "open")


def make(directory: Path, text: str) -> None:
    """Publish an artifact that is made by `spec(text)`."""
    with publish(directory, settings={"text": text}) as folder:
        (folder / "sub").mkdir()
        for name in FILES:
            (folder / "sub" / name).write_text(text * 100)


def spec(text: str) -> Spec:
    return Spec("finetune", {"text": text}, code_hash([]), ())


def work(operation: str) -> None:
    if operation == "publish":
        make(OUTPUT, "new")
    elif operation == "restore":
        assert restore(OUTPUT, spec("new"))
    else:
        set_aside(OUTPUT)


def interrupt(fault: str, at: int) -> None:
    """Let the n-th call from now on be interrupted; the calls are those that Python reports to its audit hooks."""
    count, here = 0, Path.cwd()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            path, _, flags = arguments
            if not isinstance(path, str | os.PathLike) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
            if not Path(path).absolute().is_relative_to(here):
                return
        elif event not in CHANGES:
            return
        count += 1
        if fault == "full" and count >= at and event in NEED_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
        if count == at and fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == at and fault == "interrupt":
            raise KeyboardInterrupt

    sys.addaudithook(hook)


def _process(folder: Path, operation: str, fault: str, at: int) -> None:
    os.chdir(folder)
    interrupt(fault, at)
    try:
        work(operation)
    except OSError as error:
        sys.exit(error.errno or 1)
    except PargoError as error:
        sys.exit(errno.ENOSPC if os.strerror(errno.ENOSPC) in str(error) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def run(folder: Path, operation: str, fault: str, at: int) -> int | None:
    """Exit code of a process that does an operation; 0 when there was nothing to interrupt any more.

    Args:
        folder: the project's.
        operation: `publish`, `restore` or `set_aside`.
        fault: `kill`, `interrupt` (as Ctrl-C), or `full`: from that call on the disk has no room.
        at: number of the call.
    """
    process = CONTEXT.Process(target=_process, args=(folder, operation, fault, at))
    process.start()
    process.join(60)
    return process.exitcode
