"""The jobs of a config: each once, in order, with what DVC needs; and plain Snakemake sees the same graph."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pargo.code import ROOT, code_hash, import_closure
from pargo.config.projectors import projector_modules
from pargo.errors import PargoError
from pargo.graph.jobs import Job, list_jobs, makers

MICRO = ROOT / "config/micro.yaml"


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return list_jobs(MICRO)


def test_jobs_of_the_micro_config(jobs: list[Job]) -> None:
    counts = {rule: sum(job.rule == rule for job in jobs) for rule in {job.rule for job in jobs}}
    assert counts == {
        "download": 4,
        "fingerprint": 2,  # of the scenes and of the benchmark
        "select": 1,
        "caption": 1,
        "filter": 1,
        "features": 2,
        "pretrain": 2,
        "finetune": 2,
        "evaluate": 4,
        "attention": 1,
        "score": 4,
        "report_captions": 1,
        "report_tables": 1,
        "report_figures": 1,
        "report_page": 1,
    }


def test_job_holds_what_dvc_needs(jobs: list[Job]) -> None:
    job = next(job for job in jobs if job.name == "pretrain-qformer-seed-0")
    assert job.wildcards == {"arm": "qformer", "seed": "0"}
    assert job.outputs == (
        "artifacts/micro/models/qformer/seed-0/pretrain",
        "artifacts/micro/models/qformer/seed-0/pretrain.manifest.json",
    )
    assert job.directories == {job.outputs[0]}
    assert "artifacts/micro/captions/scenes.manifest.json" in job.inputs
    code = import_closure("pargo.train.pretrain", *projector_modules("qformer"))
    assert set(job.code_files) == {path.as_posix() for path in code}
    assert job.code == code_hash(code)  # as provenance and training specs have it
    assert json.loads(job.settings)["projector"]["name"] == "qformer"
    assert job.command.endswith("--run-directory runs/micro/pretrain/qformer/seed-0")
    assert job.log == "runs/micro/logs/pretrain-qformer-seed-0.log"


def test_code_is_no_input_and_inputs_are_no_code(jobs: list[Job]) -> None:
    for job in jobs:
        assert not [path for path in job.inputs if path.startswith("pargo/")]
        assert job.code_files
        assert not [path for path in job.code_files if not path.startswith("pargo/")]
    page = next(job for job in jobs if job.rule == "report_page")
    assert "pargo/report/templates/index.html.j2" in page.code_files


def test_nothing_names_a_place_on_this_machine(jobs: list[Job]) -> None:
    for job in jobs:
        assert not [path for path in (*job.inputs, *job.code_files, *job.outputs) if Path(path).is_absolute()]
        assert str(ROOT) not in job.command + job.settings


def test_order_makes_inputs_before_their_users(jobs: list[Job]) -> None:
    made: set[str] = set()
    for job in jobs:
        assert not [path for path in job.inputs if path.startswith(("artifacts/", "reports/")) and path not in made]
        made.update(job.outputs)


def test_snakemake_has_the_same_jobs_and_needs(jobs: list[Job]) -> None:
    """Rules spell wildcards and resources; which jobs there are, and what each reads, they ask `pargo.graph.jobs`."""
    command = [sys.executable, "-m", "snakemake", "--configfile", str(MICRO), "--forceall", "--dag"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    labels = dict(re.findall(r'(\d+)\[label = "(\w+)', done.stdout))
    edges = sorted((labels[a], labels[b]) for a, b in re.findall(r"(\d+) -> (\d+)", done.stdout) if labels[b] != "all")
    by_name = {job.name: job.rule for job in jobs}
    expected = [(by_name[need], by_name[name]) for name, needs in makers(jobs).items() for need in needs]
    assert sorted(rule for rule in labels.values() if rule != "all") == sorted(by_name.values())
    assert edges == sorted(expected)


def test_names_are_unique(jobs: list[Job]) -> None:
    assert len({job.name for job in jobs}) == len(jobs)
    assert not [job.name for job in jobs if "." in job.name]  # DVC reads a dot in a key of dvc-params.json as a level


def test_bad_config_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(MICRO.read_text().replace("palette", "x").replace("report:\n", "report:\n  palete: x\n"))
    with pytest.raises(PargoError, match=r"report\.palete: unknown key; did you mean 'palette'"):
        list_jobs(path)
