"""Modules that `pargo.code` leaves out of every stage's code: nothing that they do reaches an artifact."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from pargo.benchmarks.answering import batches
from pargo.code import ONLY_TALK, ROOT
from pargo.manifest import RUN_RECORD
from pargo.train import loop
from tests.helpers.training_processes import job, train

TESTED = {"pargo/train/show.py", "pargo/train/events.py", "pargo/progress.py", "pargo/errors.py"}


class Silent:
    """Takes every call and gives nothing."""

    def __init__(self, *_, **__):
        pass

    def __getattr__(self, name):
        return lambda *_, **__: None


def published(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in (root / "out").rglob("*")
        if path.is_file() and path.name != RUN_RECORD
    }


def test_all_that_are_left_out_are_tested():
    assert {path.as_posix() for path in ONLY_TALK} == TESTED


def test_a_training_without_them_gives_the_same_bytes(world, tmp_path, monkeypatch):
    train(*job(world, tmp_path / "as-ever"))
    nothing = {name: lambda *_, **__: () for name in ("model_table", "data_table", "plan", "cut")}
    monkeypatch.setattr(loop, "show", SimpleNamespace(**nothing, Progress=Silent))
    monkeypatch.setattr(loop, "Events", Silent)
    train(*job(world, tmp_path / "silent"))
    assert published(tmp_path / "as-ever") == published(tmp_path / "silent")


@pytest.mark.parametrize("module", [batches], ids=lambda module: module.__name__)
def test_progress_passes_things_on_as_they_are(module):
    things = [object() for _ in range(3)]
    assert list(module.track(iter(things), "x", 3)) == things


def test_errors_are_classes_without_code():
    """A stage that raises one makes no artifact; what is caught is decided by their order of inheritance alone."""
    tree = ast.parse((ROOT / "pargo/errors.py").read_text(encoding="utf-8"))
    for node in tree.body[1:]:
        assert isinstance(node, ast.ClassDef)
        assert all(isinstance(item, ast.Assign | ast.Expr) for item in node.body)
