"""What jobs that would run cost is said before they do, and asked about when it is much."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pargo.code import ROOT
from pargo.config.experiment import Config, load_config
from pargo.config.jobs import load_jobs
from pargo.graph.jobs import Job, jobs_of
from pargo.plan.jobs import Assumptions, plan
from pargo.plan.pending import Cost, cost_of, pending_cost

JOBS_FILE = ROOT / "workflow/profiles/paper/jobs.yaml"


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config/paper.yaml")


@pytest.fixture(scope="module")
def jobs(config: Config) -> list[Job]:
    return jobs_of(config)


def cost(config: Config, jobs: list[Job], *rules: str) -> Cost:
    """Of a run in which the jobs of some rules would run."""
    return pending_cost(config, [replace(job, reason="new" if job.rule in rules else "") for job in jobs], JOBS_FILE)


def test_all_jobs_cost_what_the_plan_says(config: Config, jobs: list[Job]) -> None:
    rows = plan(config, load_jobs(JOBS_FILE), Assumptions("H100", 989.4e12, 0.25, 0.02))
    found = cost_of(config, [replace(job, reason="new") for job in jobs], rows)
    assert found.gpu_hours == pytest.approx(sum(row.gpu_seconds or 0 for row in rows) / 3600)


def test_only_what_would_run_counts(config: Config, jobs: list[Job]) -> None:
    assert cost(config, jobs) == Cost(0.0, 0)
    assert cost(config, jobs, "score", "report_page") == Cost(0.0, 0)
    one, both = cost(config, jobs, "pretrain"), cost(config, jobs, "pretrain", "finetune")
    assert 0 < one.gpu_hours < both.gpu_hours
    some = [replace(job, reason="new") if job.rule == "pretrain" else job for job in jobs]
    first = next(index for index, job in enumerate(some) if job.reason)
    some[first] = replace(some[first], made_before=Path("elsewhere"))
    assert pending_cost(config, some, JOBS_FILE).gpu_hours < one.gpu_hours


def test_captions_of_a_served_model_are_requests(config: Config, jobs: list[Job]) -> None:
    found = cost(config, jobs, "caption")
    assert found.requests > 1_000_000
    assert found.is_high
    assert "requests to served models" in str(found)


@pytest.mark.parametrize(
    ("found", "high"),
    [
        (Cost(0.0, 0), False),
        (Cost(24.0, 1000), False),
        (Cost(24.1, 0), True),
        (Cost(0.0, 1001), True),
        (Cost(0.0, 0, ("grade-a",)), True),
    ],
)
def test_when_it_is_asked(found: Cost, high: bool) -> None:
    assert found.is_high is high


def test_without_a_jobs_file_no_gpu_is_counted(config: Config, jobs: list[Job]) -> None:
    assert pending_cost(config, [replace(job, reason="new") for job in jobs], None).gpu_hours == 0


def test_where_nobody_can_be_asked_nothing_runs(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "config/micro.yaml").read_text())
    config["name"] = "served_captions"
    config["captions"]["engine"] = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    config["sources"]["scenes"]["num_images"] = 1001
    file = tmp_path / "served.yaml"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "pargo", "reproduce", "--config", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "say --yes to run it" in done.stderr
    assert "up to 1,001 requests" in done.stderr
    assert not (ROOT / "artifacts/served_captions").exists()
    shutil.rmtree(ROOT / "runs/served_captions")
