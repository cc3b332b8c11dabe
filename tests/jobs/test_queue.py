"""What is known of SLURM's queue, and since when: against a `squeue` that the tests write."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from pargo.config.jobs import Jobs
from pargo.errors import PargoError
from pargo.jobs import slurm
from pargo.jobs.launcher import launch
from pargo.jobs.queue import Queue, shared_queue
from pargo.jobs.record import RECORD, Attempts, JobRecord
from pargo.jobs.shared_folder import patiently
from pargo.jobs.slurm import Slurm
from pargo.jobs.submitit_files import result

LINE = "{id}|{state}|None|n1|0:10|5:00|N/A|{comment}\n"


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Sets what `squeue` prints; None for a controller that is away."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    shared_queue.cache_clear()

    def say(text: str | None) -> None:
        script = tmp_path / "squeue"
        script.write_text("#!/bin/sh\nexit 1\n" if text is None else f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        script.chmod(0o755)

    say("")
    yield say
    shared_queue.cache_clear()


def job(started: float = 0.0, job_id: str = "7", tag: str = "pargo-a") -> JobRecord:
    return JobRecord("spec", "slurm", tag, "jobs/0001", job_id, started)


def test_one_answer_serves_all_until_it_is_old(squeue):
    squeue(LINE.format(id=7, state="RUNNING", comment="c"))
    assert Queue(100).look().jobs["7"].state == "RUNNING"
    squeue(LINE.format(id=7, state="FAILED", comment="c"))
    assert Queue(100).look().jobs["7"].state == "RUNNING"
    assert Queue(100).look(newer_than=time.time()).jobs["7"].state == "FAILED"
    squeue("")
    assert Queue(0).look().jobs == {}


def test_an_old_answer_is_not_taken_for_a_new_one(squeue):
    squeue(LINE.format(id=7, state="RUNNING", comment="c"))
    Queue(0).look()
    squeue(None)
    assert Queue(0).look().jobs["7"].state == "RUNNING"
    assert Queue(0).look(newer_than=time.time()) is None


def test_lines_that_are_none_are_passed_over(squeue):
    squeue("the second line of a comment\n" + LINE.format(id=7, state="RUNNING", comment="a|b"))
    assert Queue(0).look().jobs["7"].comment == "a|b"


def test_a_silent_controller_ends_no_job(squeue):
    squeue(None)
    assert Slurm().is_alive(job())


@pytest.mark.parametrize(("started", "alive"), [(-10_000.0, False), (0.0, True)])
def test_a_job_that_is_not_listed_has_ended_unless_it_is_new(squeue, started, alive):
    assert Slurm().is_alive(job(time.time() + started)) == alive


@pytest.mark.parametrize(
    ("state", "alive", "cause"),
    [
        ("PENDING", True, "lost"),
        ("COMPLETING", True, "lost"),
        ("REQUEUE_HOLD", True, "lost"),
        ("COMPLETED", False, "failed"),
        ("FAILED", False, "failed"),
        ("CANCELLED", False, "cancelled"),
        ("TIMEOUT", False, "timed out"),
        ("OUT_OF_MEMORY", False, "out of memory"),
        ("NODE_FAIL", False, "node failure"),
        ("PREEMPTED", False, "preempted"),
    ],
)
def test_states(squeue, state, alive, cause):
    squeue(LINE.format(id=7, state=state, comment="c"))
    assert (Slurm().is_alive(job()), Slurm().cause(job())) == (alive, cause)


def test_no_submission_is_guessed_while_the_controller_is_away(squeue, tmp_path, monkeypatch):
    squeue("")
    Queue(0).look()  # an old answer, without the job
    squeue(None)
    monkeypatch.setattr(slurm, "PATIENCE", 0.1)
    with pytest.raises(PargoError, match="cannot tell whether the job was submitted"):
        Slurm().find(job(job_id=""), tmp_path)


def test_an_element_is_found_by_its_own_number(squeue, tmp_path):
    lines = [LINE.format(id=f"5_{index}", state="RUNNING", comment="pargo-a") for index in (13, 3)]
    squeue("".join(lines))
    for name in ("5_3_submitted.pkl", "5_13_submitted.pkl"):
        (tmp_path / name).touch()
    assert Slurm().find(job(job_id="", tag="pargo-a:3"), tmp_path) == "5_3"


def test_a_cancellation_that_did_not_work_is_told(squeue, monkeypatch):
    squeue(LINE.format(id=7, state="RUNNING", comment="c"))
    monkeypatch.setattr(slurm, "PATIENCE", 0.1)
    with pytest.raises(PargoError, match="could not cancel 7"):
        Slurm().cancel([job()])


def test_variables_of_a_job_do_not_reach_the_next(squeue, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "1")
    monkeypatch.setenv("SLURM_CONF", "x")
    import os

    with slurm._outside_of_jobs():
        assert "SLURM_MEM_PER_CPU" not in os.environ
        assert os.environ["SLURM_CONF"] == "x"
    assert os.environ["SLURM_MEM_PER_CPU"] == "1"


def test_without_slurm_the_message_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("defaults: {partition: low}\n")
    with pytest.raises(PargoError, match="this is no SLURM cluster"):
        launch(
            "tests.helpers.toy_stage", {"settings": {}}, name="toy", run_directory=tmp_path / "run", executor=str(jobs)
        )
    assert JobRecord.read(tmp_path / "run") is None
    assert Jobs().backend == "slurm"


# Records in a shared folder -------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_not_taken_for_absent(tmp_path, monkeypatch):
    job().write(tmp_path)
    times = iter([errno.ESTALE, errno.EIO, 0])
    read_text = Path.read_text

    def trouble(self: Path, *args: object, **kwargs: object) -> str:
        if self.name == RECORD and (number := next(times)):
            raise OSError(number, "trouble", str(self))
        return read_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", trouble)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert patiently(lambda: JobRecord.read(tmp_path)) == job()


def test_a_result_that_cannot_be_read_is_no_error_of_the_job(tmp_path, monkeypatch):
    def trouble(self: Path) -> bytes:
        raise OSError(errno.ESTALE, "stale")

    monkeypatch.setattr(Path, "read_bytes", trouble)
    with pytest.raises(OSError, match="stale"):
        result(job(), tmp_path)


def test_two_launchers_count_an_end_once(tmp_path):
    attempts = Attempts(tmp_path)
    assert [attempts.add_once("7", "failed"), attempts.add_once("7", "failed")] == [1, 1]
    assert attempts.add_once("8", "failed") == 2
    (tmp_path / "attempts.jsonl").open("a").write('{"job": "9", "cau')  # cut off
    assert attempts.count("failed") == 2
