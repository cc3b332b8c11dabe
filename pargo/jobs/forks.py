"""Jobs of this machine as forks of one process that has imported torch and the rest already: seconds less for each.

`Forks` starts that process for as long as a run lasts. A job's command is `pargo/jobs/fork_client.py` then, which hands
its arguments, environment and standard streams to it, waits, and passes signals on: to everybody else it is the job.
Without such a process the client becomes an ordinary one.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pargo.code import PACKAGE, ROOT
from pargo.jobs.fork_client import LENGTH, VARIABLE, receive_exactly

MODULES = ("pargo.train.pretrain", "pargo.train.finetune", "pargo.train.warm_up", "pargo.benchmarks.answering.evaluate")
MODELS = "pargo.models.language"  # what evaluation loads where it has to answer
GPUS = ("/dev/nvidiactl", "/dev/kfd")  # NVIDIA's, AMD's
BACKLOG = 64
STREAMS = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def can_fork() -> bool:
    """Where there is a GPU, a process that asked for it cannot fork jobs that use it."""
    return not any(Path(device).exists() for device in GPUS)


class Forks:
    """While entered, jobs that start below this process are forked; jobs that outlive it keep what they need."""

    def __enter__(self) -> Forks:
        self._folder = tempfile.TemporaryDirectory(prefix="pargo-")  # only its owner may look inside
        path = Path(self._folder.name) / "forks"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(BACKLOG)  # at once: who comes while modules are imported waits for them
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pargo.jobs.forks", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),  # jobs that want more say so
            pass_fds=[listener.fileno()],
            cwd=ROOT,
            start_new_session=True,  # a terminal's Ctrl-C is not for it
        )
        listener.close()
        os.environ[VARIABLE] = str(path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.environ.pop(VARIABLE, None)
        assert self._process.stdin is not None
        self._process.stdin.close()  # it ends when its jobs have
        if not _has_children(self._process.pid):
            self._process.wait()
        self._folder.cleanup()


def _has_children(pid: int) -> bool:
    import psutil

    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).children())
    return False


def serve(listener: socket.socket) -> None:
    """Fork a job for every client, until the process that started this one is gone, and the last job has ended."""
    states = _states()
    for name in (*MODULES, MODELS):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is shared is not written to
    jobs: dict[int, socket.socket] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    parent = True
    while parent or jobs:
        ready, _, _ = select.select([wake, *([listener, sys.stdin] if parent else [])], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(jobs)
        if sys.stdin in ready and not os.read(sys.stdin.fileno(), 1):
            parent = False
            listener.close()
        elif listener in ready:
            client, _ = listener.accept()
            given, streams = _receive(client)
            pid = os.fork()
            if not pid:
                listener.close()
                for other in jobs.values():
                    other.close()
                _become(given, streams, client, states)
            client.sendall(pid.to_bytes(LENGTH, "big"))
            jobs[pid] = client
            for stream in streams:
                os.close(stream)


def _reap(jobs: dict[int, socket.socket]) -> None:
    """Tell the clients of jobs that ended how they did."""
    for pid in list(jobs):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            with suppress(OSError), jobs.pop(pid) as client:
                client.sendall(os.waitstatus_to_exitcode(status).to_bytes(LENGTH, "big", signed=True))


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What a client asks for, and its standard streams."""
    size = array.array("i").itemsize
    first, ancillary, _, _ = client.recvmsg(LENGTH, socket.CMSG_SPACE(STREAMS * size))
    streams = array.array("i")
    for _, _, data in ancillary:
        streams.frombytes(data[: len(data) - len(data) % size])
    return json.loads(receive_exactly(client, int.from_bytes(first, "big"))), list(streams)


def _become(given: dict[str, Any], streams: list[int], client: socket.socket, states: dict[str, Any]) -> None:
    """Be the job: a new process, so to speak, that runs a module."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (*SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, stream in enumerate(streams):
            os.dup2(stream, place)
            os.close(stream)
        sys.stdin, sys.stdout, sys.stderr = open(0), _unbuffered(1), _unbuffered(2)  # noqa: SIM115
        threading.Thread(target=_end_with, args=(client,), daemon=True).start()
        os.chdir(given["folder"])
        started = dict(os.environ)
        os.environ.clear()
        os.environ.update(given["environment"])
        os.environ.pop(VARIABLE, None)
        sys.argv = given["arguments"]
        places = [given["folder"], *_python_path(given["environment"])]
        own = [str(ROOT), *_python_path(started)]
        sys.path[:] = [*places, *sys.path[len(own) :]]
        if places != own or _states() != states:
            _forget()
        try:
            runpy.run_module(given["module"], run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            threading._shutdown()  # type: ignore[attr-defined]
        with suppress(Exception):
            atexit._run_exitfuncs()
        for written in (sys.stdout, sys.stderr):
            with suppress(Exception):
                written.flush()
        os._exit(code)


def _end_with(client: socket.socket) -> None:
    """End at once when the client does: whoever kills it means the job."""
    with suppress(OSError):
        client.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _unbuffered(number: int) -> Any:
    return open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1)


def _python_path(environment: Mapping[str, str]) -> list[str]:
    return [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]


def _states() -> dict[str, Any]:
    """When the files of this package were last changed: jobs run the code that is there when they start."""
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {str(path): (found.st_mtime_ns, found.st_size) for path in files if (found := path.stat())}


def _forget() -> None:
    """Import this package anew."""
    importlib.invalidate_caches()
    for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
