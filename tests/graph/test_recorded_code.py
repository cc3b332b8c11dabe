"""A code hash leads to the files behind it where git's history has them, and to nothing where it has not."""

import subprocess
from pathlib import Path

import pytest

from pargo.code import hash_of_meanings, meaning
from pargo.graph.recorded_code import RecordedCode
from tests.helpers.dvc_jobs import make_job

FILES = ("pargo/a.py", "pargo/a file.py", "pargo/empty.py")
JOB = make_job(code_files=FILES)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")


def code_hash(root: Path) -> str:
    return hash_of_meanings({path: meaning(path, (root / path).read_bytes()) for path in FILES})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose first commit recorded a run."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "pargo").mkdir()
    for path, text in zip(FILES, ("x = 1\n", "\n\ny = 'ä'", ""), strict=True):
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "dvc.lock").write_text("1")
    commit(tmp_path)
    return tmp_path


def test_changed_files_are_named_until_they_are_as_recorded_again(root: Path) -> None:
    recorded = code_hash(root)
    assert RecordedCode(root).changed_files(JOB, recorded) == []
    for path in FILES[1:]:
        (root / path).write_text("other")
    assert RecordedCode(root).changed_files(JOB, recorded) == list(FILES[1:])
    commit(root)  # of code alone: the record is the older one
    assert RecordedCode(root).changed_files(JOB, recorded) == list(FILES[1:])
    (root / "dvc.lock").write_text("2")
    commit(root)  # another config's run: the older record is found still
    assert RecordedCode(root).changed_files(JOB, recorded) == list(FILES[1:])
    assert RecordedCode(root).changed_files(JOB, code_hash(root)) == []


def test_hash_that_no_commit_has_leads_nowhere(root: Path) -> None:
    (root / FILES[0]).write_text("other")
    assert RecordedCode(root).changed_files(JOB, "0" * 64) == []


def test_job_that_had_other_files_leads_nowhere(root: Path) -> None:
    """A file of today that is not in the commit: which files the job had then is not known."""
    recorded = code_hash(root)
    (root / "pargo/new.py").write_text("")
    assert RecordedCode(root).changed_files(make_job(code_files=(*FILES, "pargo/new.py")), recorded) == []


def test_outside_a_checkout_nothing_is_known(tmp_path: Path) -> None:
    assert RecordedCode(tmp_path).changed_files(JOB, "0" * 64) == []
