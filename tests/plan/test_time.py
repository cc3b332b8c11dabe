"""How long a run takes: the sum of what its jobs take, at a rate that is measured."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
import yaml

from pargo.code import ROOT
from pargo.commands.experiment import say_how_long
from pargo.config.experiment import Config, load_config, parse_config
from pargo.config.jobs import LOCAL
from pargo.errors import PargoError
from pargo.graph.jobs import Job, jobs_of
from pargo.plan import time as plan_time
from pargo.plan.jobs import plan
from pargo.plan.sizes import language_sizes
from pargo.plan.time import LIGHT, NOTHING, SLOWER, START_UP, estimate, measured_step


@pytest.fixture(scope="module")
def quick() -> Config:
    """Quick, with all that toy scale may have."""
    data = yaml.safe_load((ROOT / "config/quick.yaml").read_text(encoding="utf-8"))
    data["language"] |= {
        "layers": [0, 1, 28, 29],
        "warm_up": {"mixture": {"scenes": 1.0}, "num_samples": 800, "batch_size": 4},
    }
    data["sources"]["held_out"] = {"kind": "scenes", "num_images": 100, "seed": 4}
    data["benchmarks"]["details"] = {"kind": "details", "source": "held_out", "split": "train"}
    return parse_config(data)


@pytest.fixture(scope="module")
def jobs(quick) -> list[Job]:
    return jobs_of(quick)


@pytest.fixture
def step(monkeypatch) -> float:
    monkeypatch.setattr(plan_time, "measured_step", lambda shape, dtype: 0.1)
    return 0.1


def operations(config: Config, step: float) -> float:
    """Operations a second of the measured step."""
    return plan_time._operations(language_sizes(config)[0]) / step


def test_all_jobs_take_what_their_operations_take(quick, jobs, step):
    rate, rows = operations(quick, step), plan(quick, LOCAL, NOTHING)
    first, work = (
        sum(row.flops / rate * SLOWER.get(row.stage, 1.0) for row in rows if (row.stage == "warm_up") is alone)
        for alone in (True, False)
    )
    heavy = sum(job.rule in SLOWER for job in jobs)
    others = work + heavy * START_UP + (len(jobs) - heavy) * LIGHT
    for cores, threads in ((1, 1), (2, 2), (8, 2)):  # the warm-up's two threads
        assert estimate(quick, jobs, cores).seconds == pytest.approx(first / threads + others / cores)


@pytest.mark.parametrize("rule", sorted(SLOWER))
def test_a_job_less_takes_its_part_less(quick, jobs, step, rule):
    gone = next(job for job in jobs if job.rule == rule and job.wildcards.get("source") in (None, "scenes"))
    without = estimate(quick, [job for job in jobs if job is not gone], 1).seconds
    assert estimate(quick, jobs, 1).seconds - without > START_UP


def test_a_machine_of_half_the_speed_takes_longer(quick, jobs, monkeypatch):
    found = []
    for seconds in (0.1, 0.2):
        monkeypatch.setattr(plan_time, "measured_step", lambda shape, dtype, seconds=seconds: seconds)
        found.append(estimate(quick, jobs, 2).seconds - estimate(quick, [], 2).seconds)
    heavy = sum(job.rule in SLOWER for job in jobs)
    fixed = (heavy * START_UP + (len(jobs) - heavy) * LIGHT) / 2
    assert found[1] - fixed == pytest.approx(2 * (found[0] - fixed))


def test_a_step_is_measured(quick):
    shape = language_sizes(quick)[0]
    assert 0.001 < measured_step(shape, torch.float32) < 60
    before = torch.get_num_threads(), torch.random.get_rng_state()
    measured_step(shape, torch.bfloat16)
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_a_benchmark_without_a_size_is_left_out(quick, jobs, step):
    """Of easy-VQA as a whole nothing says how many questions it has."""
    sizes = {name: part for name, part in quick.benchmarks.items() if name == "easy_vqa"}
    unknown = {name: part.model_copy(update={"max_questions": None}) for name, part in sizes.items()}
    config = quick.model_copy(update={"benchmarks": unknown})
    assert 0 < estimate(config, jobs_of(config), 2).seconds < estimate(quick, jobs, 2).seconds


def test_the_papers_language_model_is_for_no_cpu():
    paper = load_config(ROOT / "config/paper.yaml")
    assert estimate(paper, jobs_of(paper), 2) is None


def pending(jobs: list[Job]) -> list[Job]:
    return [replace(job, reason="new", made_before=None) for job in jobs]


def say(config, jobs, capsys) -> str:
    say_how_long(config, jobs, 2)
    return capsys.readouterr().err


def test_it_is_said_in_minutes(quick, jobs, step, capsys):
    minutes = round(estimate(quick, jobs, 2).seconds / 60)
    assert re.fullmatch(
        rf"about {minutes} min on 2 cores of this machine, as a step of training took 0\.10 s just now\n",
        say(quick, pending(jobs), capsys),
    )


def test_nothing_is_said_of_a_short_run_or_of_one_that_cannot_be_counted(quick, jobs, monkeypatch, capsys):
    assert say(quick, pending([job for job in jobs if job.rule != "finetune"]), capsys) == ""
    assert say(quick, [replace(job, reason="") for job in jobs], capsys) == ""
    micro = load_config(ROOT / "config/micro.yaml")
    assert say(micro, pending(jobs_of(micro)), capsys) == ""

    def fail(*_: object) -> None:
        raise PargoError("no sizes")

    monkeypatch.setattr(plan_time, "estimate", fail)
    assert say(quick, pending(jobs), capsys) == ""
