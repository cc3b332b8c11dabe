"""config/paper.yaml and its profile: every job of every arm is in the graph, before any file of the paper is there."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest
import yaml

from pargo.code import ROOT
from pargo.config.experiment import load_config
from pargo.config.jobs import DISTRIBUTED, StageName, load_jobs
from pargo.graph.jobs import list_jobs

PAPER = ROOT / "config/paper.yaml"
PROFILE = ROOT / "workflow/profiles/paper"


def test_the_whole_graph_of_the_paper():
    config = load_config(PAPER)
    runs = len(config.arms) * len(config.seeds)
    found = Counter(job.rule for job in list_jobs(PAPER))
    assert found == {
        "download": len(config.used_sources),  # all but the stand-ins
        "fingerprint": 8,  # of both pretraining datasets and of the benchmarks' images
        "select": 2,
        "caption": 2,
        "filter": 2,
        "features": 6,  # of benchmarks alone: two of the seven share MME's images
        "pretrain": runs,
        "finetune": runs,
        "evaluate": runs * len(config.benchmarks),
        "score": runs * len(config.benchmarks),
        "attention": len(config.arms),  # of the first seed
        "report_captions": 2,
        "report_training": 1,
        "report_answers": 1,
        "report_tables": 1,
        "report_figures": 1,
        "report_page": 1,
    }


@pytest.mark.parametrize("name", ["sharegpt4v_pt", "densefusion_1m"])
def test_one_word_puts_another_caption_set_in_place_of_pargocap(name, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(PAPER.read_text().replace("mixture: {pargocap: 1.0}", f"mixture: {{{name}: 1.0}}"))
    found = {(job.rule, *job.wildcards.values()) for job in list_jobs(path)}
    assert {("download", name), ("caption", name), ("filter", name)} <= found
    assert not {job for job in found if set(job) & {"pargocap", "image_pool"}}


def test_the_arms_differ_in_what_their_names_say():
    config = load_config(PAPER)
    arms, base = config.arms, config.arms["pargo"]
    parts = ("projector", "pretrain", "finetune", "generation")
    differences = {
        name: [part for part in parts if getattr(arm, part) != getattr(base, part)] for name, arm in arms.items()
    }
    assert differences.pop("pargo") == []
    assert differences.pop("pargo_short_captions") == ["pretrain"]
    assert set(map(tuple, differences.values())) == {("projector",)}
    assert arms["partial_only"].projector.num_global_tokens == 0
    assert arms["global_only"].projector.num_partial_tokens == 0
    assert arms["global_only"].projector.num_tokens == base.projector.num_tokens
    assert set(arms["no_cascade"].projector.cascade_spans) == {288}
    assert arms["pargo_release"].projector.self_attention == "release"


def test_every_heavy_stage_runs_as_the_profile_says():
    profile = yaml.safe_load((PROFILE / "profile.yaml").read_text())
    jobs = load_jobs(PROFILE / "jobs.yaml")
    path = "'workflow/profiles/paper/jobs.yaml'"
    assert profile["set-resources"] == {stage: {"executor": path} for stage in get_args(StageName)}
    for stage in DISTRIBUTED:
        arms = load_config(PAPER).arms.values()
        ranks = jobs.of(stage).num_tasks
        assert all(getattr(arm, stage).batch_size % (getattr(arm, stage).micro_batch_size * ranks) == 0 for arm in arms)
