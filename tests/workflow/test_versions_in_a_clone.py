"""A clone holds manifests and reports alone: what its `status` says, and how the recorded artifacts come back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pargo.manifest import differing
from tests.helpers.s3_server import add_remote, s3_server
from tests.helpers.workflow_project import Project

MICRO = ("--config", "config/micro.yaml")
AWAY = "not here: 21 artifacts, recorded"
CAPTIONS = "artifacts/micro/captions/scenes"


@pytest.fixture
def copy(micro_run: Path, tmp_path: Path) -> Project:
    """The finished run in a folder of one test's own."""
    shutil.copytree(micro_run, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


@pytest.fixture
def clone(project: Project, tmp_path: Path) -> Project:
    """As `git clone` gives it, with the first copy's cache as its default remote."""
    project.git("clone", "--quiet", str(project.root), str(tmp_path / "clone"))
    found = Project(tmp_path / "clone")
    found.run("dvc", "remote", "add", "--local", "--default", "first", str(project.root / ".dvc/cache"))
    return found


def status(project: Project) -> list[str]:
    done = project.pargo("versions", "status", *MICRO, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == (0 if lines == ["up to date"] else 1), done.stdout + done.stderr
    return lines


def start(project: Project, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(project.root)}
    command = [sys.executable, "-m", "pargo", *arguments, *MICRO]
    return subprocess.Popen(command, cwd=project.root, env=environment, start_new_session=True)


def kill_after(seconds: float, process: subprocess.Popen[bytes]) -> None:
    """kill -9 after some time, or when it has ended before."""
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def half_made(project: Project) -> list[Path]:
    """Artifacts that are here and not as their manifests say."""
    manifests = project.root.glob("artifacts/micro/**/*.manifest.json")
    found = [path.with_name(path.name.removesuffix(".manifest.json")) for path in manifests]
    return [path for path in found if path.exists() and differing(path)]


def test_status_counts_what_is_not_here(clone: Project) -> None:
    assert status(clone) == [f"{AWAY}: `pargo versions restore` brings them; code and settings as recorded"]
    clone.run("dvc", "remote", "remove", "--local", "first")
    (line,) = status(clone)
    assert line.startswith(f"{AWAY}, but 21 of them neither in DVC's cache nor in a remote: `dvc remote add -d`")


def test_status_still_names_a_changed_stage(clone: Project) -> None:
    with clone.edited("pargo/report/figures.py"):
        told = status(clone)
        assert told == [
            f"{AWAY}: `pargo reproduce` brings them",
            "micro-report_figures: its code differs from the recorded run's: pargo/report/figures.py",
            "report_figures: would run: made by other code",
            "1 more jobs may run after these",
            "dvc-params.json: out of date; `pargo versions write` writes it anew",
        ]
    with clone.edited("pargo/captions/quality.py"):
        told = status(clone)
        assert told[0] == "not here: 21 artifacts, 20 of them recorded by code and settings as they are now: " + (
            "`pargo reproduce` brings them"
        )
        assert [line.partition(":")[0] for line in told if "differs" in line] == [
            "micro-filter-scenes",
            "micro-report_captions-scenes",
        ]


def test_jobs_are_restorable(clone: Project) -> None:
    assert "31 jobs: 10 up to date, 21 restorable" in clone.pargo("status", *MICRO).stdout
    clone.run("dvc", "remote", "remove", "--local", "first")
    assert "restorable" not in clone.pargo("status", *MICRO).stdout


def test_reproduce_restores_before_it_runs_anything(clone: Project) -> None:
    with clone.edited("pargo/captions/quality.py"):  # captions are filtered anew and come out the same
        done = clone.reproduce()
    assert "restored 20 artifacts that dvc.lock records" in done.stderr
    assert re.findall(r"done +(\w+)", done.stderr) == ["filter", "report", "report", "report"]
    ran = set(re.findall(r"done +(report \w+)", done.stderr))
    assert ran == {"report captions", "report tables", "report page"}  # what reads that file too, or tells of it
    assert not half_made(clone)
    clone.git("checkout", "--quiet", ".")
    shutil.rmtree(clone.root / CAPTIONS)
    done = clone.reproduce("--until", "select")
    assert "restored" not in done.stderr, "nothing that `select` needs is missing"
    done = clone.reproduce()
    assert "restored 1 artifact that dvc.lock records" in done.stderr
    assert "everything was up to date" in done.stderr


def test_reproduce_computes_what_a_remote_does_not_hold(clone: Project) -> None:
    clone.pargo("versions", "restore", *MICRO)
    clone.run("dvc", "remote", "modify", "--local", "first", "url", "/no/such/folder")
    for why in ("remote 'first' does not hold it", "remote 'store' cannot be read"):
        if "store" in why:
            add_remote(clone, "http://127.0.0.1:9")  # where nobody answers
        shutil.rmtree(clone.root / ".dvc/cache", ignore_errors=True)
        shutil.rmtree(clone.root / CAPTIONS)
        done = clone.reproduce()
        (line,) = [line for line in done.stderr.splitlines() if "restored" in line]
        assert line.startswith("not restored: 1 artifact, not in DVC's cache, and " + why)
        assert line.endswith(": their jobs run")
        assert re.findall(r"done +(\w+)", done.stderr) == ["filter"]
        assert clone.git("status", "--porcelain") == ""


def test_restore_by_way_of_an_s3_remote(project: Project, clone: Project) -> None:
    with s3_server() as address:
        for each in (project, clone):
            add_remote(each, address)
        empty = clone.pargo("versions", "restore", *MICRO, check=False)
        assert empty.returncode == 1
        assert "not in DVC's cache, and remote 'store' does not hold it: artifacts/micro/" in empty.stderr
        project.run("dvc", "push")
        clone.pargo("versions", "restore", *MICRO)
        assert status(clone) == ["up to date"]
    shutil.rmtree(clone.root / ".dvc/cache")
    shutil.rmtree(clone.root / CAPTIONS)
    dead = clone.pargo("versions", "restore", *MICRO, check=False)
    assert dead.returncode == 1
    assert "remote 'store' cannot be read" in dead.stderr
    assert address in dead.stderr
    assert dead.stderr.count("\n") == 1
    (project.root / ".dvc/config.local").unlink()


@pytest.mark.parametrize("edit", ["by hand", "another version", "without manifest"])
def test_restore_replaces_what_is_there_with_force_alone(clone: Project, edit: str) -> None:
    clone.pargo("versions", "restore", *MICRO)
    file = clone.root / CAPTIONS / "captions.jsonl"
    file.write_text("mine\n")
    said = f"{CAPTIONS} (changed: captions.jsonl: changed"
    if edit == "another version":
        record = file.with_name("provenance.json")
        record.write_text(record.read_text().replace('"code": "', '"code": "0'))
        said = f"{CAPTIONS} (another version)"
    if edit == "without manifest":
        file.parent.with_name("scenes.manifest.json").unlink()
        said = f"{CAPTIONS} (broken)"
    refused = clone.pargo("versions", "restore", *MICRO, check=False)
    assert refused.returncode == 1
    assert f"not as recorded: {said}" in refused.stderr
    assert "`pargo versions restore --force` replaces it" in refused.stderr
    assert "-f" not in refused.stderr.replace("--force", "")
    assert file.read_text() == "mine\n"
    clone.pargo("versions", "restore", *MICRO, "--force")
    assert status(clone) == ["up to date"]
    assert clone.git("status", "--porcelain") == ""
    (kept,) = clone.root.glob(".pargo/kept/captions/*/scenes/captions.jsonl")
    assert kept.read_text() == "mine\n"


def test_what_restore_sets_aside_is_found_again_though_git_has_the_manifest_of_the_recorded_one(clone: Project) -> None:
    config, captions = clone.root / MICRO[1], clone.root / CAPTIONS / "captions.jsonl"
    clone.pargo("versions", "restore", *MICRO)
    for words in (8, 12):
        edited = f"{config.read_text()}\nquality: {{min_words: {words}}}\n"
        config.write_text(edited)
        clone.reproduce("--until", "filter")
        mine = captions.read_bytes()
        clone.git("checkout", "--quiet", ".")  # manifests, too
        clone.pargo("versions", "restore", *MICRO, "--force")
        assert status(clone) == ["up to date"]
        assert captions.read_bytes() != mine
        config.write_text(edited)
        done = clone.reproduce("--until", "filter")
        assert re.findall(r"(done|restored) +(\w+)", done.stderr) == [("restored", "filter")]
        assert captions.read_bytes() == mine
        clone.git("checkout", "--quiet", ".")
        clone.pargo("versions", "restore", *MICRO, "--force")


def test_killed_restores_leave_whole_artifacts_and_the_next_ends_it(clone: Project) -> None:
    for seconds in (2.5, 3.0, 3.5, 4.0, 5.0):
        kill_after(seconds, start(clone, "versions", "restore"))
        assert not half_made(clone)
    clone.pargo("versions", "restore", *MICRO)
    assert status(clone) == ["up to date"]
    assert clone.git("status", "--porcelain") == ""


def test_killed_records_leave_a_whole_record_and_the_next_ends_it(copy: Project) -> None:
    whole = (copy.root / "dvc.lock").read_bytes()
    for seconds in (2.5, 3.0, 3.5, 4.0, 5.0):
        (copy.root / "dvc.lock").write_bytes(b"")
        shutil.rmtree(copy.root / ".dvc/cache", ignore_errors=True)
        kill_after(seconds, start(copy, "versions", "record"))
        assert (copy.root / "dvc.lock").read_bytes() in (b"", whole)
    copy.pargo("versions", "record", *MICRO)
    assert (copy.root / "dvc.lock").read_bytes() == whole
    assert status(copy) == ["up to date"]


def test_a_list_of_locked_files_that_a_kill_tore_stops_nothing(copy: Project) -> None:
    for torn in (b"", b'{"write": {"/some/fi', b"\xc3"):
        (copy.root / ".dvc/tmp/rwlock").write_bytes(torn)
        assert status(copy) == ["up to date"]
    (copy.root / ".dvc/tmp/rwlock").write_bytes(b"")
    (copy.root / "dvc.lock").unlink()
    copy.pargo("versions", "record", *MICRO)


def test_two_records_at_once_and_locks_that_were_left(copy: Project) -> None:
    whole = (copy.root / "dvc.lock").read_bytes()
    (copy.root / "dvc.lock").unlink()
    for name in ("lock", "pargo.lock"):  # as a process of another machine left them, in a copied folder
        (copy.root / ".dvc/tmp" / name).write_text("999999\nanother-machine\n")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: copy.pargo("versions", "record", *MICRO, check=False), range(2)))
    assert [done.returncode for done in both] == [0, 0], both
    assert (copy.root / "dvc.lock").read_bytes() == whole
    assert status(copy) == ["up to date"]


@pytest.mark.parametrize(("file", "kind"), [("dvc.lock", "YAML"), ("dvc.yaml", "YAML"), ("dvc-params.json", "JSON")])
def test_a_broken_record_is_said_in_a_line(copy: Project, file: str, kind: str) -> None:
    broken = copy.root / file
    broken.write_text(f"<<<<<<< ours\n{broken.read_text()}=======\n>>>>>>> theirs\n")
    told = re.compile(rf"error: {file}: not valid {kind} at line \d+, perhaps an unfinished merge: resolve it, or .*\n")
    for command in ("status", "record", "restore", "write"):
        done = copy.pargo("versions", command, *MICRO, check=False)
        assert done.returncode == 1
        assert told.fullmatch(done.stderr), (command, done.stderr)
    with copy.edited("pargo/report/figures.py"):  # a job would run
        done = copy.reproduce(check=False)
    assert done.returncode == 1
    assert told.fullmatch(done.stderr), done.stderr
