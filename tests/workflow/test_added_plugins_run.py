"""A projector, a benchmark, a kind of source and a caption engine, added by CONTRIBUTING, go through the whole graph.

They are added to a finished run, so what runs afterwards is what they cost: their own jobs and what reads those.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest
import yaml

from tests.helpers import recipes
from tests.helpers.added_plugins import add_benchmark, add_source
from tests.helpers.official_files import write_pope
from tests.helpers.workflow_project import Project

CONFIG = "config/added.yaml"
JOBS = """
import json, sys
from pathlib import Path
from pargo.graph.jobs import list_jobs
print(json.dumps({job.name: [job.settings, job.code, job.reason] for job in list_jobs(Path(sys.argv[1]))}))
"""
# the images of benchmarks are kept from the captions: a new benchmark with images of its own is looked at again
LOOK_AGAIN = {"select-scenes"}
REPORT = {f"report_{part}" for part in ("training", "answers", "tables", "figures", "page")}


def jobs(project: Project, config: str) -> dict[str, Any]:
    """Settings, hash of the code and reason to run of all jobs."""
    return json.loads(project.run(sys.executable, "-c", JOBS, config).stdout)


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Any]:
    return jobs(project, "config/micro.yaml")


@pytest.fixture(scope="module")
def touched(project: Project, before: dict[str, Any]) -> dict[str, set[str]]:
    """The plug-ins in place; the files that each took."""
    return {
        "projector": set(recipes.add(project.root, "Adding a projector")),
        "benchmark": add_benchmark(project.root),
        "source kind": add_source(project.root),
        "caption engine": set(recipes.add(project.root, "Adding a caption engine")),
    }


@pytest.fixture(scope="module")
def config(project: Project, touched: dict[str, set[str]]) -> str:
    """Micro with all four: an arm `average`, trained on captions of `stripes`, and the benchmark `toy` for all arms."""
    write_pope(project.root / "toy")
    data = yaml.safe_load((project.root / "config/micro.yaml").read_text())
    files = [*(f"toy/coco_pope_{split}.json" for split in ("random", "popular", "adversarial")), "toy/val2014"]
    data["sources"] |= {
        "toy_files": {"kind": "official", "benchmark": "toy", "files": files},
        "stripes": {"kind": "stripes", "num_images": 6},
    }
    data["benchmarks"]["toy"] = {"kind": "toy", "source": "toy_files"}
    data["datasets"]["stripes"] = {"source": "stripes", "captions": {"engine": "alt_text"}}
    data["projectors"]["average"] = {"name": "average"}
    data["arms"]["average"] = {"projector": "average", "pretrain": {"mixture": {"stripes": 1.0}}}
    (project.root / CONFIG).write_text(yaml.safe_dump(data, sort_keys=False))
    return CONFIG


@pytest.fixture(scope="module")
def after(project: Project, config: str) -> dict[str, Any]:
    """All jobs with the plug-ins, before any of them runs."""
    return jobs(project, config)


@pytest.fixture(scope="module")
def ran(project: Project, config: str, after: dict[str, Any]) -> str:
    """What `pargo reproduce` says."""
    done = project.pargo("reproduce", "--config", config)
    return done.stdout + done.stderr


def test_places_to_touch(touched):
    for name, files in touched.items():
        print(name, len(files), *sorted(files), sep="\n  ")  # shown by `pytest -s`
    lines = [path for path in touched["projector"] if path.startswith("tests/")]
    assert (len(touched["projector"]), len(lines)) == (3, 1)
    assert {path.rpartition("/")[0] for path in touched["benchmark"]} == {
        "pargo/benchmarks/toy",
        "pargo/config/benchmarks",
    }
    assert [len(touched[name]) for name in ("source kind", "caption engine")] == [2, 2]


def test_no_other_job_has_other_code_or_settings(before, after):
    # the report shows all arms and benchmarks of its config
    shown = REPORT
    assert {name: after[name][:2] for name in before.keys() - shown} == {
        name: before[name][:2] for name in before.keys() - shown
    }


def test_only_their_own_jobs_and_what_reads_them_run(after):
    reasons = {name for name, (_, _, reason) in after.items() if reason}
    own = {name for name in after if re.search(r"toy|stripes|-average-", name)}
    assert own <= reasons
    # what follows `select-scenes` runs only if other images are chosen, which Snakemake knows once it has run
    behind = {"caption-scenes", "filter-scenes", "report_captions-scenes"}
    behind |= {
        name for name in after if re.match(r"(pretrain|finetune|evaluate|score|attention)-(pargo|qformer)-", name)
    }
    assert reasons - own - LOOK_AGAIN - behind <= REPORT


def test_other_models_are_not_trained_or_asked_again(project, ran):
    for arm in ("pargo", "qformer"):
        for what in ("pretrain", "finetune"):
            assert not re.search(rf"done +{what} arm {arm}\b", ran)
        assert not re.search(rf"done +evaluate arm {arm}, seed 0, benchmark mini_mme", ran)
        assert re.search(rf"done +evaluate arm {arm}, seed 0, benchmark toy", ran)
    assert re.search(r"done +pretrain arm average", ran)


def test_tables_page_and_card_show_them(project, ran):
    table = (project.root / "reports/micro/tables/projectors.md").read_text()
    page = (project.root / "reports/micro/index.html").read_text()
    captions = (project.root / "reports/micro/captions/stripes/README.md").read_text()
    for text in (table, page):
        assert "Average" in text
        assert "Toy benchmark" in text
    assert "alt_text" in captions
    project.pargo("export", "artifacts/micro/models/average/seed-0/finetune", "exported", "--compare", "2")
    card = (project.root / "exported/README.md").read_text()
    assert "Toy benchmark" in card
    assert "Average" in card


def test_check_and_plan_take_them(project, config):
    assert "ok; arms: pargo, qformer, average" in project.pargo("config", "check", config).stdout
    plan = project.pargo("plan", "--config", config).stdout
    assert "average" in plan
    assert "toy_files" in plan


def test_the_house_style_takes_them(project, touched):
    files = sorted(set().union(*touched.values()))
    python = (sys.executable, "-m")
    project.run(*python, "ruff", "check", "--fix", *files)  # as `make format` does; what is left is an error
    project.run(*python, "ruff", "format", *files)
    project.run(*python, "mypy", "--no-error-summary")
    project.run(sys.executable, "-m", "pargo.config.docs")
    reference = (project.root / "config/README.md").read_text()
    for name in ("AverageProjector", "Toy", "StripesSource", "AltTextEngine"):
        assert f"## {name}" in reference
