"""What was paid for or took long outlives `make clean`, Ctrl-C, and runs that work at the same things."""

from __future__ import annotations

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


@pytest.mark.parametrize("moment", ["at once", "while it computes"])
def test_a_signal_to_the_driver_alone_ends_all_and_leaves_the_old_outputs(project: Project, moment: str) -> None:
    folder = Layout("micro", project.root).model("qformer", 0, "pretrain")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    timing = project.root / "runs/micro/pretrain/qformer/seed-0/timing.jsonl"
    timing.unlink(missing_ok=True)
    # it must not have ended when the signal comes
    variant = project.variant("longer", arms__qformer={"projector": "qformer", "pretrain": {"num_samples": 65536}})
    command = [sys.executable, "-m", "pargo", "reproduce", "--config", variant, "--until", "pretrain"]
    process = subprocess.Popen(
        command, cwd=project.root, env=project.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "start  pretrain arm qformer" in line:
            break
    if moment != "at once":  # Snakemake waits for its jobs then
        wait_until(lambda: timing.exists() and len(timing.read_text().splitlines()) > 20, 120)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert process.wait(60) == 130, rest
    time.sleep(2)
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cwd", "cmdline"])
        if process.info["cwd"] == str(project.root)
    ]
    assert left == [], "no launcher goes on and submits its job"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not project.pending()


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
