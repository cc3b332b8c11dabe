"""The whole micro graph as jobs of a real SLURM, and its driver killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from pargo.jobs.record import JobRecord
from pargo.manifest import RUN_RECORD
from tests.helpers.private_slurm import Cluster, wait_until
from tests.helpers.workflow_project import Project, copy_project

PROFILE = Path("workflow/profiles/slurm")
HEAVY = {"fingerprint", "select", "caption", "filter", "features", "pretrain", "finetune", "evaluate"}


@pytest.fixture(scope="module")
def on_slurm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, list[str]]:
    """The copy after a run whose driver was killed and started again; the names of SLURM's jobs."""
    root = tmp_path_factory.mktemp("slurm") / "project"
    root.mkdir()
    copy_project(root)
    jobs_file = root / PROFILE / "jobs.yaml"
    jobs = yaml.safe_load(jobs_file.read_text())
    jobs |= {"poll_seconds": 1, "defaults": jobs["defaults"] | {"memory_gb": 2, "cpus_per_task": 2}}
    jobs_file.write_text(yaml.safe_dump(jobs))
    copy = Project(root)
    copy.git("init", "--quiet")
    before = {job_id.partition("_")[0] for job_id in cluster.jobs()}
    arguments = ("reproduce", "--config", "config/micro.yaml", "--profile", str(PROFILE), "--cores", "2")
    environment = os.environ | {"PYTHONPATH": str(root)}
    for name, number, stage in (("killed", signal.SIGKILL, "pretrain"), ("left", signal.SIGINT, "finetune")):
        with (root / f"{name}.log").open("w") as log:
            # a session of its own: a terminal's Ctrl-C, too, reaches all of it
            driver = subprocess.Popen(
                [sys.executable, "-m", "pargo", *arguments],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            wait_until(partial(_submitted, root, stage), 300, f"a job of {stage}")
            os.killpg(driver.pid, number)
            assert driver.wait(60)
    done = copy.pargo(*arguments)
    (root / "second.log").write_text(done.stdout + done.stderr)
    # an array counts once
    lines = set(cluster.run("squeue", "--states=all", "--noheader", "--format=%F %j").splitlines())
    return copy, [line.split()[1] for line in lines if line.split()[0] not in before]


def _submitted(root: Path, stage: str) -> bool:
    """Is a job of that stage on record?"""
    records = [JobRecord.read(path.parent) for path in root.glob(f"runs/micro/{stage}/**/job.json")]
    return any(record is not None and record.job_id for record in records)


def results(root: Path) -> dict[str, bytes]:
    """All artifacts and reports but records of time and machine."""
    found = [path for top in ("artifacts", "reports") for path in (root / top).rglob("*") if path.is_file()]
    own = (RUN_RECORD, ".gitignore", ".snakemake_timestamp")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found if path.name not in own}


def test_results_are_those_of_the_local_run(on_slurm: tuple, project: Project) -> None:
    copy = on_slurm[0]
    # costs in the report hold measured times: with the local run's records of them all else must be equal
    for pattern in (f"artifacts/micro/**/{RUN_RECORD}", "runs/micro/**/timing.jsonl"):
        for record in copy.root.glob(pattern):
            shutil.copy2(project.root / record.relative_to(copy.root), record)
    (copy.root / "reports/micro/training.json").unlink()
    copy.pargo("reproduce", "--config", "config/micro.yaml")
    found, expected = results(copy.root), results(project.root)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_ctrl_c_leaves_the_jobs_of_a_cluster(on_slurm: tuple) -> None:
    text = (on_slurm[0].root / "left.log").read_text()
    assert "still there: job" in text
    assert "left running; `pargo jobs` lists them" in text


def test_nothing_was_submitted_twice(on_slurm: tuple) -> None:
    copy, names = on_slurm
    heavy = [path for path in (copy.root / "runs/micro/logs").glob("*.log") if path.name.split("-")[0] in HEAVY]
    assert len(names) == len(set(names)) == len(heavy)


def test_a_second_run_submits_nothing(on_slurm: tuple, cluster: Cluster) -> None:
    copy, _ = on_slurm
    before = len(cluster.jobs())
    done = copy.pargo("reproduce", "--config", "config/micro.yaml", "--profile", str(PROFILE))
    assert "everything was up to date" in done.stderr
    assert len(cluster.jobs()) == before
