"""What was paid for or took long outlives `make clean`, Ctrl-C, and runs that work at the same things."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from pargo.layout import Layout
from pargo.manifest import verify
from tests.helpers.private_slurm import wait_until
from tests.helpers.workflow_project import Project

TRAINING = "runs/micro/pretrain/qformer/seed-0"


def test_clean_keeps_what_was_paid_for_or_took_long(project: Project) -> None:
    held = [
        "runs/micro/pretrain/pargo/seed-0/checkpoints/step-00000002/state.json",
        "runs/micro/caption/scenes/records.jsonl",
        "runs/micro/grade/pargo/seed-0/mmvet/grades.json.log.jsonl",
        ".pargo/answers/engine/one.jsonl",
        ".pargo/kept/models/x/pretrain/model.safetensors",
        "artifacts/micro/raw_captions/scenes/captions.jsonl",
        "reports/micro/index.html",
    ]
    for name in held:
        path = project.root / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("held")
    said = project.run("make", "clean").stdout
    assert "rm -rf runs .pargo" in said
    assert [name for name in held if not (project.root / name).exists()] == []
    for name in (".snakemake", "runs/micro/logs", "runs/micro/snakemake-report.html", ".pargo/seen"):
        assert not (project.root / name).exists()
    assert not project.pending()
    shutil.rmtree(project.root / ".pargo/kept")


def _start_training(project: Project, *options: str) -> subprocess.Popen[str]:
    """A run in which the Q-Former trains, for longer than the test needs."""
    pretrain = {"num_samples": 65536, "checkpoint_interval": 100_000}
    variant = project.variant("longer", arms__qformer={"projector": "qformer", "pretrain": pretrain})
    shutil.rmtree(project.root / TRAINING, ignore_errors=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "pargo", "reproduce", "--config", variant, "--until", "pretrain", *options],
        cwd=project.root,
        env=project.environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "start  pretrain arm qformer" in line:
            break
    return process


def _wait_for_steps(project: Project) -> None:
    timing = project.root / TRAINING / "timing.jsonl"
    wait_until(lambda: timing.exists() and len(timing.read_text().splitlines()) > 20, 120)


def _checkpoints(project: Project) -> list[str]:
    return [path.name for path in (project.root / TRAINING / "checkpoints").glob("step-*")]


def _processes(project: Project) -> list[str]:
    found = psutil.process_iter(["cwd", "cmdline"])
    return [process.info["cmdline"] for process in found if process.info["cwd"] == str(project.root)]


@pytest.mark.parametrize(
    ("name", "to_all", "later"),
    [
        ("SIGINT", False, False),
        ("SIGTERM", False, False),
        ("SIGINT", False, True),
        ("SIGINT", True, True),
        ("SIGTERM", False, True),
    ],
)
def test_a_signal_ends_all_and_leaves_the_old_outputs(project: Project, name: str, to_all: bool, later: bool) -> None:
    """A signal to the driver or to all of its terminal; at once, or while the training computes."""
    folder = Layout("micro", project.root).model("qformer", 0, "pretrain")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    process = _start_training(project)
    if later:  # Snakemake waits for its jobs then
        _wait_for_steps(project)
    (os.killpg if to_all else os.kill)(process.pid, signal.Signals[name])
    assert process.stderr is not None
    rest = process.stderr.read()
    assert process.wait(60) == 130, rest
    time.sleep(2)
    assert _processes(project) == [], "no launcher goes on and submits its job"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    if later:
        assert "cancelled job" in rest
        assert _checkpoints(project), "the training saved what it had"
    assert not project.pending()


def test_a_job_outlives_its_terminal_where_that_is_wanted(project: Project) -> None:
    process = _start_training(project, "--on-interrupt", "detach")
    _wait_for_steps(project)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    assert "left running" in process.stderr.read()
    assert process.wait(60) == 130
    time.sleep(2)
    assert _processes(project) != []
    assert _checkpoints(project) == []
    assert "cancelled" in project.pargo("cancel", "--all").stdout
    assert _checkpoints(project), "the training saved what it had"
    assert _processes(project) == []


def test_two_runs_that_share_work_end_right(project: Project) -> None:
    """Each makes the new scenes, or takes them from the other one."""
    names = ("first", "second")
    variants = {name: project.variant(name, name=name, sources__scenes__seed=7) for name in names}
    with ThreadPoolExecutor() as threads:
        runs = [
            threads.submit(project.pargo, "reproduce", "--config", variants[name], "--until", "filter", check=False)
            for name in names
        ]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    contents = []
    for name in names:
        artifacts = project.root / "artifacts" / name
        manifests = sorted(artifacts.rglob("*.manifest.json"))
        for manifest in manifests:
            verify(manifest.with_name(manifest.name.removesuffix(".manifest.json")))
        contents.append({path.relative_to(artifacts).as_posix(): path.read_bytes() for path in manifests})
        assert not list(artifacts.rglob(".*"))
        early = ("download", "select", "filter")
        assert not [job for job in project.pending(variants[name]) if job.startswith(early)]
    assert contents[0] == contents[1]
    assert any("captions" in name for name in contents[0])
