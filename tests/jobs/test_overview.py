"""`pargo jobs`, `pargo logs` and `pargo cancel` on real local jobs, and what Ctrl-C does with them."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from pargo.commands.application import app
from pargo.config.jobs import LOCAL
from pargo.errors import PargoError
from pargo.graph.interrupt import settle
from pargo.jobs.local import Local
from pargo.jobs.overview import find_job, find_jobs, follow
from pargo.jobs.record import Attempts, JobRecord
from pargo.jobs.stage import StageCall
from pargo.jobs.submission import submit
from tests.helpers.project_marks import make_project


@pytest.fixture
def job(tmp_path, monkeypatch) -> Iterator[JobRecord]:
    """A running job of the toy stage, in a project folder."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    run_directory = Path("runs/toy/pretrain/pargo/seed-0")
    arguments = {"output": tmp_path / "out", "trace": tmp_path / "trace", "wait_for": tmp_path / "go"}
    stage = StageCall("tests.helpers.toy_stage", "run", '{"lines": 3}', arguments, run_directory)
    run_directory.mkdir(parents=True)
    [(_, record)] = submit([stage], LOCAL, run_directory)
    end = time.monotonic() + 30
    while not (tmp_path / "trace").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    yield record
    Local().cancel([record])


def test_the_table(job, tmp_path):
    [found] = find_jobs()
    assert (found.stage, found.arm, found.state, found.alive) == ("pretrain", "pargo seed-0", "running", True)
    Attempts(found.run_directory).add(job.job_id, "preempted")
    text = CliRunner().invoke(app, ["jobs"]).output
    for word in (job.job_id, "pretrain", "pargo seed-0", "running, run 2", "log.out"):
        assert word in text
    (tmp_path / "go").touch()
    end = time.monotonic() + 30
    while find_jobs()[0].alive:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert find_jobs()[0].state.startswith("finished")


def test_no_jobs(tmp_path, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["jobs"]).output == f"no jobs in {tmp_path}\n"
    with pytest.raises(PargoError, match="no job '7' below runs/; jobs on record: none"):
        find_job("7")


def test_a_log_is_followed_to_its_end(job, tmp_path):
    threading.Timer(1.0, (tmp_path / "go").touch).start()
    text = "".join(follow(find_job(job.job_id), 0.1))
    assert text.index("started") < text.index("step 2/9  loss") < text.index("finished")
    assert "started" in CliRunner().invoke(app, ["logs", job.job_id]).output


def test_progress_is_read_from_the_log(job):
    [found] = find_jobs()
    for line, expected in {
        "step 50/600  samples 400/4800  loss 2.1000  12.5 samples/s  ETA 5:52": ("50/600", "12.5 samples/s", "5:52"),
        "Answering (batches): 3/40": ("3/40", "", ""),
    }.items():
        found.log.write_text(line + "\nsomething else\n")
        [found] = find_jobs()
        assert (found.step, found.speed, found.left) == expected


def test_cancel(job):
    runner = CliRunner()
    assert isinstance(runner.invoke(app, ["cancel"]).exception, PargoError)
    assert f"cancelled {job.job_id}: pretrain pargo seed-0" in runner.invoke(app, ["cancel", job.job_id]).output
    assert find_jobs() == []
    assert not Local().is_alive(job)


@pytest.mark.parametrize(("policy", "alive"), [("ask", False), ("cancel", False), ("detach", True)])
def test_after_ctrl_c_where_nobody_can_be_asked(job, monkeypatch, policy, alive):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    out = io.StringIO()
    settle(find_jobs(), policy, Console(file=out, width=200))
    assert Local().is_alive(job) == alive
    assert f"still there: job {job.job_id}, pretrain pargo seed-0, running" in out.getvalue()


@pytest.mark.parametrize(
    ("answer", "alive"), [("detach\n", True), ("cancel\n", False), ("what\ncancel\n", False), ("", True)]
)
def test_after_ctrl_c_a_person_is_asked(job, monkeypatch, answer, alive):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    settle(find_jobs(), "ask", Console(file=io.StringIO(), width=200))
    assert Local().is_alive(job) == alive
