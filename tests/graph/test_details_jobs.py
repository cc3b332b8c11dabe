"""What a benchmark of details adds to the graph: which model is asked, and files of the report that are its own."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from pargo.benchmarks.answering.evaluate import EvaluateSettings
from pargo.code import ROOT
from pargo.config.experiment import parse_config
from pargo.graph.jobs import Job, jobs_of, makers

MICRO = yaml.safe_load((ROOT / "config/micro.yaml").read_text())
TABLES = {f"reports/micro/tables/details.{extension}" for extension in ("csv", "md", "tex")}


def jobs_with(**more: Any) -> dict[str, Job]:
    """The jobs of micro with a benchmark of details, by name."""
    data = copy.deepcopy(MICRO)
    data["sources"]["held_out"] = {"kind": "scenes", "num_images": 8, "image_size": 64, "seed": 2}
    data["benchmarks"]["details"] = {"kind": "details", "source": "held_out", "split": "train"} | more
    return {job.name: job for job in jobs_of(parse_config(data))}


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    return jobs_with()


def test_the_graph_declares_the_table_and_the_page_reads_it(jobs: dict[str, Job]) -> None:
    assert set(jobs["report_tables"].outputs) >= TABLES
    assert set(jobs["report_page"].inputs) >= TABLES
    before = {job.name: job for job in jobs_of(parse_config(MICRO))}
    assert set(jobs["report_tables"].outputs) - set(before["report_tables"].outputs) == TABLES
    assert not TABLES & {*before["report_page"].inputs}


def test_it_adds_its_own_jobs_and_changes_no_other_but_the_report(jobs: dict[str, Job]) -> None:
    before = {job.name: job for job in jobs_of(parse_config(MICRO))}
    own = {f"{stage}-{arm}-seed-0-details" for stage in ("evaluate", "score") for arm in ("pargo", "qformer")}
    images = {"download-held_out", "fingerprint-held_out-train", "features-held_out-train"}
    assert jobs.keys() - before.keys() == own | images
    changed = {
        name for name, job in before.items() if (job.settings, job.paths) != (jobs[name].settings, jobs[name].paths)
    }
    report = {f"report_{part}" for part in ("training", "answers", "tables", "figures", "page")}
    assert changed == {"select-scenes"} | report


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_the_model_that_is_asked_is_the_one_of_its_stage(stage: str) -> None:
    jobs = jobs_with(model=stage)
    job = jobs["evaluate-pargo-seed-0-details"]
    assert f"{stage}-pargo-seed-0" in makers(jobs.values())[job.name]
    settings = EvaluateSettings.model_validate_json(job.settings)
    assert (settings.lora is None) == (stage == "pretrain")
    assert json.loads(job.settings)["benchmark"]["model"] == stage
