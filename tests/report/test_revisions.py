"""Two commits of one report: which numbers changed, and whether seeds and images explain it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pargo.errors import PargoError
from pargo.report.revisions import compare_revisions, render
from tests.helpers.report_project import Project


def git(*arguments: str) -> str:
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *name, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def committed(two_seeds: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the run whose report is in git."""
    shutil.copytree(Path.cwd(), tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    two_seeds.tables(two_seeds.layout.tables)
    git("init", "--quiet")
    git("add", "reports")
    git("commit", "--quiet", "--message", "first")
    return two_seeds


def change_scores(project: Project, arm: str, right: float) -> None:
    """All answers of an arm to mini-MME right or wrong, in both seeds."""
    for seed in (0, 1):
        path = project.layout.score(arm, seed, "mini_mme")
        record = json.loads(path.read_text())
        for images in record["values"].values():
            for pair in images.values():
                pair[0] = 200 * pair[1] * right
        for task in record["tasks"].values():
            task["score"] = 200 * right
        record["headline"]["value"] = 1000 * right
        path.write_text(json.dumps(record))


def test_what_is_equal_is_told_as_equal(committed: Project) -> None:
    for second in ("HEAD", None):
        changes = compare_revisions("synthetic", "HEAD", second, 50)
        assert (changes.cells, changes.scores, changes.only_a, changes.only_b) == ((), (), (), ())
        assert changes.equal == 3 * (6 + 4 + 7)


def test_a_change_that_chance_does_not_explain(committed: Project) -> None:
    change_scores(committed, "pargo", 0.25)
    committed.tables(committed.layout.tables)
    git("commit", "--quiet", "--all", "--message", "few right answers")
    change_scores(committed, "pargo", 1.0)
    shutil.rmtree(committed.layout.tables)
    committed.tables(committed.layout.tables)
    changes = compare_revisions("synthetic", "HEAD", None, 200)
    assert {change.arm for change in changes.scores} == {"pargo"}
    (total,) = [change for change in changes.scores if change.row.task is None]
    assert total.meaning == "more than seeds and images explain"
    assert (total.row.value_a, total.row.value_b, total.row.difference) == (250, 1000, -750)
    told = render(changes)
    assert "pargo, mini_mme, total score: 250.0 -> 1000.0, +750.0 [+750.0, +750.0]" in told
    assert {"projectors/pargo/mini_mme.total", "claims/pargo_minus_qformer_mini_mme/difference"} <= {
        change.number for change in changes.cells
    }
    assert not [change for change in changes.cells if "qformer/easy_vqa" in change.number]


def test_with_one_seed_nothing_is_said_of_methods(committed: Project) -> None:
    for arm in ("pargo", "qformer", "mlp"):
        shutil.rmtree(committed.layout.score(arm, 1, "mini_mme").parent)
    git("add", "--all", "reports")
    git("commit", "--quiet", "--message", "one seed")
    change_one = committed.layout.score("pargo", 0, "easy_vqa")
    shutil.copy(committed.layout.score("mlp", 0, "easy_vqa"), change_one)
    changes = compare_revisions("synthetic", "HEAD", None, 50)
    assert {change.meaning for change in changes.scores} == {"one training seed"}


def test_what_cannot_be_compared_is_told(committed: Project) -> None:
    shutil.rmtree(committed.layout.score("qformer", 1, "mini_mme").parent)
    for seed in (0, 1):
        committed.layout.score("mlp", seed, "easy_vqa").unlink()
    notes = compare_revisions("synthetic", "HEAD", None, 50).notes
    assert notes == ("mlp: only before: easy_vqa", "qformer: 2 seeds before, 1 after")


def test_what_is_not_there_is_named(committed: Project) -> None:
    with pytest.raises(PargoError, match="nosuch: no reports/synthetic there"):
        compare_revisions("synthetic", "nosuch", None, 50)
    with pytest.raises(PargoError, match="HEAD: no reports/other there"):
        compare_revisions("other", "HEAD", None, 50)
    shutil.rmtree(committed.layout.score("mlp", 0, "mini_mme").parents[1])
    changes = compare_revisions("synthetic", "HEAD", None, 50)
    assert changes.notes == ("only before: arm mlp",)
