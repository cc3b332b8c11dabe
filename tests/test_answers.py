"""Files of answers are shared by a link, or by copies where there can be no link."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pargo.answers import answer_files, shared, shared_folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "project/runs/quick/caption/scenes/records.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("1\n")
    return path


def test_what_is_appended_is_there_at_once_and_outlives_runs(file: Path, tmp_path: Path) -> None:
    folder = shared_folder(file.parent, "k" * 64)
    assert folder == tmp_path / "project/.pargo/answers" / ("k" * 32)
    for text in ("2\n", "3\n"):
        with shared(file, folder), file.open("a") as opened:
            opened.write(text)
            opened.flush()
            (found,) = answer_files(folder)
            assert found.read_text() == file.read_text()
    shutil.rmtree(tmp_path / "project/runs")
    assert found.read_text() == "1\n2\n3\n"
    file.parent.mkdir(parents=True)
    file.write_text("4\n")
    with shared(file, folder):  # a new file takes the place of none
        assert sorted(path.read_text() for path in answer_files(folder)) == ["1\n2\n3\n", "4\n"]
    assert not list(folder.glob(".*"))


def test_where_there_can_be_no_link_it_is_copied(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    folder = shared_folder(file.parent, "key")
    with shared(file, folder), file.open("a") as opened:
        opened.write("2\n")
    assert "1\n2\n" in [path.read_text() for path in answer_files(folder)]
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("place", ["elsewhere", "runs", "runs/shard-0"])
def test_a_persons_own_folder_shares_nothing(tmp_path: Path, place: str) -> None:
    folder = shared_folder(tmp_path / place, "key")
    assert folder is None
    assert answer_files(folder) == []
