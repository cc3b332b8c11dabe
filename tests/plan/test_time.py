"""How long a run takes: the sum of what its jobs take, at a rate that is measured."""

from __future__ import annotations

import re

import pytest
from rich.console import Console

from pargo.code import ROOT
from pargo.config.experiment import Config, load_config
from pargo.config.jobs import LOCAL
from pargo.errors import PargoError
from pargo.graph import reproduce
from pargo.graph.jobs import Job, jobs_of
from pargo.plan import time as plan_time
from pargo.plan.jobs import plan
from pargo.plan.sizes import language_sizes
from pargo.plan.time import LIGHT, NOTHING, SLOWER, START_UP, estimate, measured_step


@pytest.fixture(scope="module")
def quick() -> Config:
    return load_config(ROOT / "config/quick.yaml")


@pytest.fixture(scope="module")
def jobs(quick) -> list[Job]:
    return jobs_of(quick)


@pytest.fixture
def step(monkeypatch) -> float:
    monkeypatch.setattr(plan_time, "measured_step", lambda shape: 0.1)
    return 0.1


def operations(config: Config, step: float) -> float:
    """Operations a second of the measured step."""
    return plan_time._operations(language_sizes(config)[0]) / step


def test_all_jobs_take_what_their_operations_take(quick, jobs, step):
    rate, rows = operations(quick, step), plan(quick, LOCAL, NOTHING)
    work = sum(row.flops / rate * SLOWER.get(row.stage, 1.0) for row in rows)
    heavy = sum(job.rule in SLOWER for job in jobs)
    whole = work + heavy * START_UP + (len(jobs) - heavy) * LIGHT
    for cores in (1, 2):
        assert estimate(quick, jobs, cores).seconds == pytest.approx(whole / cores)


@pytest.mark.parametrize("rule", sorted(SLOWER))
def test_a_job_less_takes_its_part_less(quick, jobs, step, rule):
    gone = next(job for job in jobs if job.rule == rule)
    without = estimate(quick, [job for job in jobs if job is not gone], 1).seconds
    assert estimate(quick, jobs, 1).seconds - without - START_UP > 0


def test_a_machine_of_half_the_speed_takes_longer(quick, jobs, monkeypatch):
    found = []
    for seconds in (0.1, 0.2):
        monkeypatch.setattr(plan_time, "measured_step", lambda shape, seconds=seconds: seconds)
        found.append(estimate(quick, jobs, 2).seconds - estimate(quick, [], 2).seconds)
    heavy = sum(job.rule in SLOWER for job in jobs)
    fixed = (heavy * START_UP + (len(jobs) - heavy) * LIGHT) / 2
    assert found[1] - fixed == pytest.approx(2 * (found[0] - fixed))


def test_a_step_is_measured(quick):
    assert 0.001 < measured_step(language_sizes(quick)[0]) < 60


def test_the_papers_language_model_is_for_no_cpu():
    paper = load_config(ROOT / "config/paper.yaml")
    assert estimate(paper, jobs_of(paper), 2) is None


def say(config, jobs, capsys) -> str:
    reproduce._say_how_long(config, jobs, 2, Console(highlight=False, soft_wrap=True))
    return capsys.readouterr().out


def test_it_is_said_in_minutes(quick, jobs, step, capsys):
    minutes = round(estimate(quick, jobs, 2).seconds / 60)
    assert re.fullmatch(
        rf"about {minutes} min on 2 cores of this machine, as a step of training took 0\.10 s just now\n",
        say(quick, jobs, capsys),
    )


def test_nothing_is_said_of_a_short_run_or_of_one_that_cannot_be_counted(quick, jobs, monkeypatch, capsys):
    assert say(quick, [job for job in jobs if job.rule not in ("finetune",)], capsys) == ""
    micro = load_config(ROOT / "config/micro.yaml")
    assert say(micro, jobs_of(micro), capsys) == ""

    def fail(*_: object) -> None:
        raise PargoError("no sizes")

    monkeypatch.setattr(plan_time, "estimate", fail)
    assert say(quick, jobs, capsys) == ""
