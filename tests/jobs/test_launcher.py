"""The launcher against real local jobs: success, failure, attach, resubmit, cancel."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pargo.errors import PargoError
from pargo.jobs import local
from pargo.jobs.handover import FINISHED, forget, give_back, keep
from pargo.jobs.launcher import launch
from pargo.jobs.local import Local
from pargo.jobs.log import LogStream, tail
from pargo.jobs.record import JobRecord
from pargo.jobs.submitit_files import result
from pargo.layout import manifest_path
from pargo.manifest import publish, verify

TOY = "tests.helpers.toy_stage"
LAUNCHER = """
import json, sys
from pathlib import Path
from pargo.jobs.launcher import launch
kwargs = {name: value if name == "settings" else Path(value) for name, value in json.loads(sys.argv[1]).items()}
launch("tests.helpers.toy_stage", kwargs, name="toy", run_directory=Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def toy_stage_is_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def runs(tmp_path) -> Path:
    return tmp_path / "runs" / "toy"


@pytest.fixture
def kwargs(tmp_path) -> dict:
    return {"settings": {"train": {"num_threads": 3}}, "output": tmp_path / "out", "trace": tmp_path / "trace"}


@pytest.fixture
def start(runs) -> Iterator[Callable[[dict], subprocess.Popen]]:
    """Start a launcher in a process of its own; whatever is left of launchers and jobs ends with the test."""
    started = []

    def begin(kwargs: dict) -> subprocess.Popen:
        text = json.dumps({name: value if name == "settings" else str(value) for name, value in kwargs.items()})
        log = runs.parent / f"launcher-{len(started)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            command = [sys.executable, "-c", LAUNCHER, text, str(runs)]
            # as in a terminal: a shell lets what it starts in the background ignore Ctrl-C, and children inherit that
            started.append(
                subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, preexec_fn=listen_to_interrupts)
            )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
    record = JobRecord.read(runs)
    if record is not None:
        Local().cancel([record])


def listen_to_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def num_runs(kwargs: dict) -> int:
    return len(kwargs["trace"].read_text().splitlines()) if kwargs["trace"].exists() else 0


def test_a_job_runs_to_its_end_and_its_log_is_shown(kwargs, runs, capsys):
    kwargs["settings"]["lines"] = 5
    launch(TOY, kwargs, name="toy", run_directory=runs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("toy: job ")
    # without a terminal, progress is shown sparingly; submitit's own lines never
    assert lines[1:] == ["started", "step 0/9  loss", "finished"]
    assert kwargs["output"].is_dir()
    assert kwargs["trace"].read_text().split()[1] == "3"  # OMP_NUM_THREADS
    shutil.rmtree(kwargs["output"])
    launch(f"{TOY}:run", kwargs, name="toy", run_directory=runs)  # nothing of the first run is in the way
    assert num_runs(kwargs) == 2


def test_inline_is_the_same_without_a_job(kwargs, runs, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MKL_NUM_THREADS", "1")
    launch(TOY, kwargs, name="toy", run_directory=runs, executor="inline")
    assert kwargs["output"].is_dir()
    kwargs["settings"]["fail"] = "expected"
    with pytest.raises(PargoError, match="the width must be even"):
        launch(TOY, kwargs, name="toy", run_directory=runs, executor="inline")


def test_an_unknown_executor_names_the_choices(kwargs, runs):
    with pytest.raises(PargoError, match="'cloud' is not known; choices: inline, local, or the path of a jobs file"):
        launch(TOY, kwargs, name="toy", run_directory=runs, executor="cloud")


def test_a_failure_shows_the_end_of_the_log(kwargs, runs, capsys):
    kwargs["settings"]["fail"] = "bug"
    with pytest.raises(PargoError) as caught:
        launch(TOY, kwargs, name="toy", run_directory=runs)
    text = str(caught.value)
    assert "ValueError: a bug" in text.splitlines()[0]
    assert "| line 49" in text
    assert "| line 0\n" not in text
    log = Path(text.splitlines()[1].removeprefix("last lines of ").removesuffix(":"))
    assert "line 0" in log.read_text()
    with pytest.raises(PargoError):  # the next call tries again, it does not repeat the old failure
        launch(TOY, kwargs, name="toy", run_directory=runs)
    assert num_runs(kwargs) == 2


def test_an_expected_failure_is_told_in_its_own_words(kwargs, runs):
    kwargs["settings"]["fail"] = "expected"
    with pytest.raises(PargoError, match=r"^toy: the width must be even\n"):
        launch(TOY, kwargs, name="toy", run_directory=runs)


def test_a_launcher_killed_leaves_the_job_and_the_next_attaches(kwargs, runs, start, tmp_path, capsys):
    kwargs["wait_for"] = tmp_path / "go"
    first = start(kwargs)
    wait_until(lambda: num_runs(kwargs))
    first.kill()
    first.wait()
    second = start(kwargs)
    wait_until(lambda: "attached" in (runs.parent / "launcher-1.log").read_text())
    kwargs["wait_for"].touch()
    assert second.wait(30) == 0
    assert num_runs(kwargs) == 1
    assert kwargs["output"].is_dir()


def test_a_job_that_finished_unwatched_is_harvested(kwargs, runs, start, tmp_path):
    kwargs["wait_for"] = tmp_path / "go"
    first = start(kwargs)
    wait_until(lambda: num_runs(kwargs))
    first.kill()
    first.wait()
    kwargs["wait_for"].touch()
    wait_until(lambda: result(JobRecord.read(runs), runs))
    launch(TOY, kwargs, name="toy", run_directory=runs)
    assert num_runs(kwargs) == 1


def finish_alone(kwargs, runs, start, tmp_path):
    """A job that ends when its launcher is dead."""
    kwargs["wait_for"] = tmp_path / "go"
    first = start(kwargs)
    wait_until(lambda: num_runs(kwargs))
    first.kill()
    first.wait()
    kwargs["wait_for"].touch()
    wait_until(lambda: result(JobRecord.read(runs), runs))


def test_a_finished_job_whose_output_snakemake_deleted_gets_it_back(kwargs, runs, start, tmp_path):
    """Snakemake deletes outputs before it runs a rule again: here of a job that ended while no driver was there."""
    finish_alone(kwargs, runs, start, tmp_path)
    shutil.rmtree(kwargs["output"])
    launch(TOY, kwargs, name="toy", run_directory=runs)
    assert kwargs["output"].is_dir()
    assert num_runs(kwargs) == 1
    assert not (runs / FINISHED).exists()


def another_artifact(output: Path) -> None:
    shutil.rmtree(output)
    with publish(output, settings={}) as directory:
        (directory / "weights").write_text("another")


def older_manifest(output: Path) -> None:
    manifest_path(output).write_text('{"files": {}}')


DAMAGE: dict[str, Callable[[Path], object]] = {
    "git put an older manifest back": older_manifest,
    "no manifest": lambda output: manifest_path(output).unlink(),
    "truncated": lambda output: (output / "weights").write_text(""),
    "a file is gone": lambda output: (output / "weights").unlink(),
    "another artifact": another_artifact,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_finished_job_whose_output_was_damaged_gets_it_back(kwargs, runs, start, tmp_path, damage):
    finish_alone(kwargs, runs, start, tmp_path)
    weights = (kwargs["output"] / "weights").read_text()
    DAMAGE[damage](kwargs["output"])
    launch(TOY, kwargs, name="toy", run_directory=runs)
    verify(kwargs["output"])
    assert (kwargs["output"] / "weights").read_text() == weights
    assert num_runs(kwargs) == 1
    assert not (runs / FINISHED).exists()


def test_a_finished_job_of_which_no_whole_copy_is_left_runs_again(kwargs, runs, start, tmp_path):
    finish_alone(kwargs, runs, start, tmp_path)
    for folder in (kwargs["output"], runs / FINISHED / "artifact"):
        (folder / "weights").write_text("")
    launch(TOY, kwargs, name="toy", run_directory=runs)
    verify(kwargs["output"])
    assert num_runs(kwargs) == 2


def test_a_finished_job_of_which_nothing_is_left_runs_again(kwargs, runs, start, tmp_path):
    finish_alone(kwargs, runs, start, tmp_path)
    shutil.rmtree(kwargs["output"])
    shutil.rmtree(runs / FINISHED)
    launch(TOY, kwargs, name="toy", run_directory=runs)
    assert num_runs(kwargs) == 2


def test_an_artifact_comes_back_as_it_was_with_its_manifest(tmp_path):
    output, runs = tmp_path / "models" / "arm", tmp_path / "runs"
    runs.mkdir()
    with publish(output, settings={}) as directory:
        (directory / "sub").mkdir()
        (directory / "sub" / "weights").write_bytes(b"1234")
    before = manifest_path(output).read_bytes()
    keep(output, runs)
    shutil.rmtree(output)
    manifest_path(output).unlink()
    assert give_back(output, runs)
    verify(output)
    assert manifest_path(output).read_bytes() == before
    (output / "sub" / "weights").write_bytes(b"")  # what changes one of them changes no other
    assert give_back(output, runs)
    verify(output)
    forget(runs)
    assert not give_back(output, runs)


def test_a_killed_job_is_reported_and_submitted_again(kwargs, runs, start, tmp_path, capsys):
    kwargs["wait_for"] = tmp_path / "go"
    first = start(kwargs)
    wait_until(lambda: num_runs(kwargs))
    psutil.Process(int(kwargs["trace"].read_text().split()[0])).kill()
    assert first.wait(30) == 1
    assert "ended without a result" in (runs.parent / "launcher-0.log").read_text()
    kwargs["wait_for"].touch()
    launch(TOY, kwargs, name="toy", run_directory=runs)
    assert "was lost; submitting it again" in capsys.readouterr().out
    assert num_runs(kwargs) == 2


def test_a_job_with_another_spec_is_cancelled(kwargs, runs, start, tmp_path, capsys):
    first = start(kwargs | {"wait_for": tmp_path / "never"})
    wait_until(lambda: num_runs(kwargs))
    old = psutil.Process(int(kwargs["trace"].read_text().split()[0]))
    first.kill()
    launch(TOY, kwargs, name="toy", run_directory=runs)
    assert "does something else; cancelling it" in capsys.readouterr().out
    assert not old.is_running()
    assert num_runs(kwargs) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_the_launcher_cancels_the_job_and_its_children(kwargs, runs, start, tmp_path, number):
    kwargs |= {"wait_for": tmp_path / "never", "settings": {"child": True}}
    launcher = start(kwargs)
    wait_until((tmp_path / "child").exists)
    wait_until((tmp_path / "child").read_text)
    job = int(kwargs["trace"].read_text().split()[0])
    child = int((tmp_path / "child").read_text())
    launcher.send_signal(number)
    assert launcher.wait(30) != 0
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in (job, child))
    assert JobRecord.read(runs) is None


def test_a_clock_that_is_set_does_not_lose_a_running_job(monkeypatch):
    process = psutil.Process()
    record = JobRecord("spec", "local", "tag", "jobs/0001", str(process.pid), local._start(process))
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 1e6)
    assert Local().is_alive(record)
    assert not Local().is_alive(replace(record, started=record.started - 1))


def test_the_log_is_read_in_whole_lines(tmp_path):
    path = tmp_path / "log"
    stream = LogStream(path, terminal=True)
    assert stream.read() == []
    path.write_bytes(b"submitit INFO (now) - noise\none\ntw")
    assert stream.read() == ["one"]
    with path.open("ab") as file:
        file.write(b"o\nstep 1/9 a\nstep 2/9 b\nend")
    assert stream.read() == ["two", "step 1/9 a", "step 2/9 b"]
    assert stream.read(last=True) == ["end"]
    assert tail(path, 2) == ["step 2/9 b", "end"]
    with path.open("ab") as file:
        file.write(b"\nsrun: error: n1: task 0: Exited with exit code 1\nsrun: error: n[1-2]: tasks 0-1: Killed\n")
        file.write(b"srun: launch/slurm: _step_signal: Terminating StepId=9.0\n")
    assert tail(path, 2) == ["end", "srun: error: n[1-2]: tasks 0-1: Killed"]
