"""Forked jobs are to all others what ordinary processes are: output, environment, exit code, signals, newest code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pargo.code import ROOT
from pargo.jobs import fork_client, forks
from pargo.jobs.fork_client import VARIABLE
from pargo.jobs.forks import Forks

CLIENT = [sys.executable, "-S", "-E", fork_client.__file__, "-u", "-m"]
TOLD = """
import json, os, sys
print(json.dumps({"argv": sys.argv[1:], "folder": os.getcwd(), "told": os.environ.get("TOLD"), "pid": os.getpid(),
                  "torch": "torch" in sys.modules, "name": __name__, "forks": os.environ.get("PARGO_FORKS")}))
print("to stderr", file=sys.stderr)
"""
SLEEPS = """
import os, signal, sys, time
def note(number, frame):
    os.write(1, f"got {signal.Signals(number).name}\n".encode())  # it may come within another write
    sys.exit(7)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), note)
os.write(1, f"{os.getpid()}\n".encode())
time.sleep(60)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    with Forks():
        yield


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes modules that jobs can import; jobs start in that folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def run(*arguments: str, **how) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CLIENT, *arguments], capture_output=True, text=True, timeout=120, **how)


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A client that waits, and the process id that its job printed."""
    client = subprocess.Popen([*CLIENT, *arguments], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    try:
        yield client, int(client.stdout.readline())
    finally:
        client.kill()
        client.wait()


def gone(pid: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_fork_has_what_its_client_was_given(server, module, monkeypatch, tmp_path):
    monkeypatch.setenv("TOLD", "yes")
    done = run(module("told", TOLD), "a", "b c")
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("pid") != os.getpid()
    assert found == {
        "argv": ["a", "b c"],
        "folder": str(tmp_path),
        "told": "yes",
        "torch": True,
        "name": "__main__",
        "forks": None,
    }
    assert (done.stderr, done.returncode) == ("to stderr\n", 0)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit('no more')", 1, "no more"),
        ("raise ValueError('wrong')", 1, "ValueError: wrong"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", -signal.SIGABRT, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import atexit; atexit.register(print, 'at the end')", 0, ""),
    ],
)
def test_a_client_ends_as_its_fork_does(server, module, text, code, said):
    done, plain = run(module("ends", text)), run("ends", env=os.environ | {VARIABLE: ""})
    assert (done.returncode, plain.returncode) == (code, code)
    assert done.stdout == plain.stdout
    assert said in done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_signals_are_passed_on(server, module, name):
    with started(module("sleeps", SLEEPS), name) as (client, job):
        assert job != client.pid
        client.send_signal(getattr(signal, name))
        assert client.stdout.read() == f"got {name}\n"
        assert client.wait(20) == 7


def test_a_client_that_is_killed_takes_its_fork_along(server, module):
    with started(module("sleeps", SLEEPS)) as (client, job):
        client.kill()
        client.wait()
        assert gone(job)


def test_without_a_server_the_client_is_an_ordinary_process(module, monkeypatch, tmp_path):
    for path in (None, str(tmp_path / "nobody")):
        monkeypatch.delenv(VARIABLE, raising=False) if path is None else monkeypatch.setenv(VARIABLE, path)
        with started(module("sleeps", SLEEPS)) as (client, job):
            assert job == client.pid


def test_a_server_that_cannot_begin_leaves_ordinary_processes(module, monkeypatch):
    monkeypatch.setattr(forks.sys, "executable", shutil.which("false"))
    with Forks(), started(module("sleeps", SLEEPS)) as (client, job):
        assert job == client.pid


def test_a_job_outlives_who_started_the_server_and_its_end_is_told(module):
    with Forks() as own:
        client = subprocess.Popen([*CLIENT, module("sleeps", SLEEPS), "SIGTERM"], stdout=subprocess.PIPE, text=True)
        job = int(client.stdout.readline())
    assert own._process.poll() is None
    client.terminate()
    assert client.wait(20) == 7
    assert gone(job)
    assert own._process.wait(20) == 0


def test_a_server_without_jobs_ends_with_its_run(module):
    with Forks() as own:
        run(module("told", TOLD))
        assert own._process.poll() is None
    assert own._process.returncode == 0


def test_a_fork_runs_the_code_that_is_there_when_it_starts(module, monkeypatch, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "pargo", copy / "pargo", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(copy)]))
    monkeypatch.setattr(forks, "ROOT", copy)
    text = "import pargo.units; print(pargo.units.__file__, getattr(pargo.units, 'EDITED', None))"
    with Forks():
        assert run(module("shows", text)).stdout == f"{copy}/pargo/units.py None\n"
        with (copy / "pargo/units.py").open("a") as file:
            file.write("\nEDITED = 1\n")
        assert run("shows").stdout == f"{copy}/pargo/units.py 1\n"


def test_where_there_is_a_gpu_nothing_is_forked(monkeypatch, tmp_path):
    monkeypatch.setattr(forks, "GPUS", (str(tmp_path / "none"),))
    assert forks.can_fork()
    monkeypatch.setattr(forks, "GPUS", (str(tmp_path / "none"), str(tmp_path)))
    assert not forks.can_fork()
    assert Path(forks.__file__).is_relative_to(ROOT)
