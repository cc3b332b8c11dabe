"""The jobs of a config: each once, in order, with what DVC needs; and plain Snakemake sees the same graph."""

import json
import re
import shlex
import subprocess
import sys
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml

from pargo.code import ROOT, code_hash, import_closure
from pargo.config.experiment import load_config
from pargo.config.projectors import projector_modules
from pargo.errors import PargoError
from pargo.graph.jobs import Job, jobs_of, list_jobs, makers

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
        "attention": 2,
        "score": 4,
        "report_captions": 1,
        "report_training": 1,
        "report_answers": 1,
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


EXCHANGED = {  # fields of the two configs that hold the same sources, in other places
    "the sources of two datasets of one mixture": {
        "datasets.b": ({"source": "scenes"}, {"source": "more"}),
        "datasets.c": ({"source": "more"}, {"source": "scenes"}),
        "base.finetune.mixture": ({"b": 0.7, "c": 0.3},) * 2,
        "base.pretrain.mixture": ({"b": 0.7, "c": 0.3},) * 2,
    },
    "the same, with the tower in the loop": {
        "datasets.b": ({"source": "scenes"}, {"source": "more"}),
        "datasets.c": ({"source": "more"}, {"source": "scenes"}),
        "base.finetune": ({"mixture": {"b": 0.7, "c": 0.3}, "features": "in_loop"},) * 2,
        "base.pretrain": ({"mixture": {"b": 0.7, "c": 0.3}, "features": "in_loop"},) * 2,
    },
    "the images to select from and those of the benchmarks": {
        "datasets.scenes": ({"source": "mini_mme", "split": "test"}, {"source": "more", "split": "test"}),
        "benchmarks": tuple({"a": {"kind": "mini_mme", "source": name}} for name in ("more", "mini_mme")),
        "sources.more": ({"kind": "mini_mme", "images_per_task": 2, "seed": 3},) * 2,
    },
    "the weights of the tower and of the language model": {
        "vision.source": ("vision_tower", "language_model"),
        "language.source": ("language_model", "vision_tower"),
    },
}


@pytest.mark.parametrize("change", EXCHANGED)
def test_what_is_read_as_what_is_in_the_settings(change: str, tmp_path: Path) -> None:
    """A record holds the paths that were read, and not as what: two equal records must mean the same command."""
    first, second = (_jobs_with(change, number, tmp_path) for number in (0, 1))
    assert first.keys() == second.keys()
    told = {name for name in first if first[name][0] != second[name][0]}
    assert told
    assert not {name for name in told if first[name][1:] == second[name][1:]}


def _jobs_with(change: str, number: int, folder: Path) -> dict[str, tuple[str, str, set[Path]]]:
    """Inputs of all jobs as their commands have them, their settings, and what they read, by name."""
    data = yaml.safe_load(MICRO.read_text(encoding="utf-8"))
    data["sources"]["more"] = {"kind": "scenes", "num_images": 8, "seed": 5}
    for path, values in EXCHANGED[change].items():
        *parents, key = path.split(".")
        place = reduce(getitem, parents, data)
        new = values[number]
        place[key] = place[key] | new if key in ("pretrain", "finetune") else new
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return {
        job.name: (job.command.replace(shlex.quote(job.settings), ""), job.settings, set(job.paths))
        for job in jobs_of(load_config(file))
    }


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
    path.write_text(MICRO.read_text().replace("report:\n", "report:\n  latex_widht: 240\n"))
    with pytest.raises(PargoError, match=r"report\.latex_widht: unknown key; did you mean 'latex_width'"):
        list_jobs(path)
