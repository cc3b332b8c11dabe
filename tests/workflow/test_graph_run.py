"""The whole micro graph, run for real: complete, repeatable, and no wider than a change asks for."""

import re
import shutil
import sys
from pathlib import Path

from pargo.layout import Layout
from pargo.manifest import RUN_RECORD, verify
from pargo.report.settings import answer_files, figure_files, table_files
from tests.helpers.workflow_project import Project

REPORT = {"report_training", "report_answers", "report_tables", "report_figures", "report_page"}
BENCHMARKS = {"mini_mme": {"kind": "mini_mme"}, "mini_mme_release": {"kind": "mini_mme"}}


def files(root: Path, *, times: bool) -> dict[str, tuple[int, bytes]]:
    """Time and content of every artifact and report file, but for records of time and machine."""
    found = [path for top in ("artifacts", "reports") for path in (root / top).rglob("*") if path.is_file()]
    return {
        path.relative_to(root).as_posix(): (path.stat().st_mtime_ns if times else 0, path.read_bytes())
        for path in found
        if path.name not in (RUN_RECORD, ".gitignore", ".snakemake_timestamp")
    }


def test_everything_is_there(project: Project) -> None:
    layout = Layout("micro", project.root)
    for name in table_files(BENCHMARKS):
        assert (layout.tables / name).stat().st_size
    for name in figure_files(BENCHMARKS):
        assert (layout.figures / name).stat().st_size
    for name in answer_files(BENCHMARKS):
        assert (layout.answers / name).stat().st_size
    assert layout.training.stat().st_size
    for arm in ("pargo", "qformer"):
        assert layout.score(arm, 0, "mini_mme").stat().st_size
    assert layout.page.stat().st_size
    assert (layout.runs / "snakemake-report.html").stat().st_size


def test_every_artifact_is_what_its_manifest_says(project: Project) -> None:
    manifests = list((project.root / "artifacts").rglob("*.manifest.json"))
    assert len(manifests) == 21
    for manifest in manifests:
        verify(manifest.with_name(manifest.name.removesuffix(".manifest.json")))


def test_nothing_in_git_names_this_machine(project: Project, micro_run: Path) -> None:
    for folder in (project.root, micro_run):
        found = project.run("git", "grep", "--files-with-matches", "--fixed-strings", str(folder), check=False)
        assert found.stdout == ""


def test_second_run_does_nothing(project: Project) -> None:
    before = files(project.root, times=True)
    done = project.reproduce()
    assert "everything was up to date" in done.stderr
    assert "start" not in done.stderr
    assert "ParGo" in done.stdout
    assert "one training seed: nothing here says how much another training run would differ" in done.stdout
    assert files(project.root, times=True) == before
    assert project.git("status", "--porcelain") == ""


def test_dvc_is_up_to_date(project: Project) -> None:
    assert project.pargo("versions", "status", "--config", "config/micro.yaml").stdout.strip() == "up to date"
    assert "up to date" in project.run("dvc", "status").stdout
    assert project.git("status", "--porcelain") == ""


def test_plain_snakemake_has_nothing_to_do(project: Project) -> None:
    done = project.run("snakemake", "--configfile", "config/micro.yaml", "--cores", "2")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_repeated_stage_with_the_same_result_stops_there(project: Project) -> None:
    captions = Layout("micro", project.root).captions("scenes")
    shutil.rmtree(captions)
    captions.with_name("scenes.manifest.json").unlink()
    command = (sys.executable, "-X", "importtime", "-m", "pargo", "reproduce", "--config", "config/micro.yaml")
    done = project.run(*command)
    assert re.findall(r"done +(\w+)", done.stderr) == ["filter"]
    assert re.findall(r"\| +(snakemake|torch|transformers)$", done.stderr, re.MULTILINE) == ["snakemake"], (
        "what a driver loads is waited for by everybody"
    )
    assert project.git("status", "--porcelain") == ""  # byte for byte what it was


def test_failed_job_shows_its_log_and_keeps_what_is_finished(project: Project) -> None:
    variant = project.variant("failing", name="failing", vision__feature_size=999)
    done = project.pargo("reproduce", "--config", variant, "--until", "features", check=False)
    assert done.returncode == 1
    assert "failed features source" in done.stderr
    assert "runs/failing/logs/features-" in done.stderr
    assert "999" in done.stderr
    assert re.search(r"error: \d of 11 jobs failed", done.stderr)
    assert "Traceback" not in done.stderr
    layout = Layout("failing", project.root)
    assert layout.source("scenes").exists()
    assert not layout.features("scenes", "train").exists()
    for top in ("artifacts", "runs"):
        shutil.rmtree(project.root / top / "failing")


def test_clone_restores_the_run(project: Project, tmp_path: Path) -> None:
    project.git("clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    missing = clone.pargo("versions", "restore", "--config", "config/micro.yaml", check=False)
    assert missing.returncode == 1
    assert "no remote" in missing.stderr
    assert missing.stderr.count("artifacts/") == 3, "a few of the files are named"
    assert "more" in missing.stderr
    clone.run("dvc", "remote", "add", "--local", "--default", "first", str(project.root / ".dvc/cache"))
    clone.pargo("versions", "restore", "--config", "config/micro.yaml")
    assert not clone.pending()
    assert files(clone.root, times=False) == files(project.root, times=False)
    assert "everything was up to date" in clone.reproduce().stderr
    assert clone.git("status", "--porcelain") == ""


def test_record_refuses_an_unfinished_run(project: Project) -> None:
    with project.edited("pargo/report/figures.py"):
        done = project.pargo("versions", "record", "--config", "config/micro.yaml", check=False)
        assert done.returncode == 1
        assert "these would still run: report_figures" in done.stderr
        status = project.pargo("versions", "status", "--config", "config/micro.yaml", check=False)
        assert status.returncode == 1
        assert "report_figures: would run" in status.stdout
    variant = project.variant("wider", projectors__qformer__hidden_size=48)
    refused = project.pargo("versions", "record", "--config", variant, check=False)
    assert refused.returncode == 1
    assert "pretrain-qformer-seed-0 (made with other settings: projector.hidden_size: 32, now 48)" in refused.stderr


def test_one_driver_per_config(project: Project) -> None:
    code = (
        "import fcntl, subprocess, sys\n"
        "lock = open('runs/micro/driver.lock')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "command = [sys.executable, '-m', 'pargo', 'reproduce', '--config', 'config/micro.yaml']\n"
        "sys.exit(subprocess.run(command).returncode)"
    )
    done = project.run(sys.executable, "-c", code, check=False)
    assert done.returncode == 1
    assert "already runs config 'micro'" in done.stderr
