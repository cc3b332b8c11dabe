"""`pargo gc` lists what was set aside, and removes what no recorded version needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pargo.graph.gc import lines_of, list_kept, removable, remove
from pargo.kept import KEPT, kept
from pargo.layout import manifest_path
from pargo.manifest import publish

OUTPUT = Path("artifacts/quick/models/arm/seed-0/finetune")


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def make(text: str) -> None:
    with publish(OUTPUT, settings={}) as folder:
        (folder / "weights").write_text(text)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Versions a (recorded by a tag alone), b (by a branch), c (by none), and d, which is in place."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")
    git("commit", "--quiet", "--allow-empty", "--message=begin")
    git("switch", "--quiet", "--detach")
    for text, name in (("a", ("tag", "run-a")), ("b", ("branch", "other"))):
        make(text)
        git("add", manifest_path(OUTPUT).as_posix())
        git("commit", "--quiet", f"--message={text}")
        git(*name)
        git("reset", "--quiet", "main")  # leaves the files as they are
    make("c")
    make("d")
    return tmp_path


def texts() -> list[str]:
    return sorted((path / "weights").read_text() for path in kept())


def test_what_is_listed(project: Path) -> None:
    rows = list_kept()
    assert {(row.directory / "weights").read_text(): row.recorded for row in rows} == {"a": True, "b": True, "c": False}
    *lines, total = lines_of(rows)
    for row, line in zip(rows, lines, strict=True):
        assert OUTPUT.as_posix() in line
        assert f"{row.when:%Y-%m-%d %H:%M}" in line
        assert "made 20" in line
        assert row.size > 100
        assert line.endswith("; a commit recorded it") is row.recorded
    assert total.startswith("3 artifacts (")
    assert "a commit recorded 2 artifacts (" in total


def test_what_is_removed(project: Path) -> None:
    broken = KEPT / "models" / "left by a kill"
    broken.mkdir()
    remove(removable(list_kept()))
    assert texts() == ["a", "b"]
    assert not broken.exists()
    remove(removable(list_kept(), everything=True))
    assert texts() == []
    assert not list(KEPT.glob("*/*"))
    assert (OUTPUT / "weights").read_text() == "d"
    assert list(lines_of(list_kept())) == ["nothing was set aside"]


def test_what_a_merge_did_not_keep_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch=main")

    def commit(text: str) -> None:
        make(text)
        git("add", "artifacts/**.manifest.json")
        git("commit", "--quiet", f"--message={text}")

    commit("a")
    git("switch", "--quiet", "--create=my-run")
    commit("mine")
    git("switch", "--quiet", "main")
    commit("b")
    git("merge", "--quiet", "--strategy=ours", "--message=merge", "my-run")
    git("branch", "--delete", "my-run")
    assert {(row.directory / "weights").read_text(): row.recorded for row in list_kept()} == {"a": True, "mine": True}


def test_where_there_is_no_git_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make("a")
    make("b")
    assert [row.recorded for row in list_kept()] == [False]
