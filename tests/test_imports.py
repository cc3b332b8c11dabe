"""What stages load, and how: a job of a few seconds should not spend most of them on imports."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from pargo.imports import for_good
from pargo.stages import STAGES

HEAVY = {"torch", "torchvision", "timm", "transformers", "peft", "deepspeed", "accelerate", "pandas", "scipy"}
# from light to heavy, as one process imports them all; evaluation loads a model only where it has to answer
LOADS = [
    (
        (
            "download",
            "grade",
            "score",
            "fingerprint",
            "select",
            "caption",
            "filter",
            "evaluate",
            "report_answers",
            "report_tables",
            "report_page",
        ),
        set(),
    ),
    (("attention", "report_training"), {"torch"}),
    (("report_figures", "report_captions"), {"torch", "pandas", "scipy"}),
]
CODE = """
import importlib, sys
for names in sys.argv[2:]:
    for name in names.split():
        importlib.import_module(name)
    print(*sorted(set(sys.argv[1].split()) & set(sys.modules)))
"""


def test_a_stage_loads_no_more_than_it_needs() -> None:
    modules = [" ".join(STAGES[name].module for name in names) for names, _ in LOADS]
    command = [sys.executable, "-c", CODE, " ".join(HEAVY), *modules]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [set(line.split()) for line in lines] == [expected for _, expected in LOADS]


def test_imports_for_good_are_left_alone_by_the_collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_for_good.py").write_text("THINGS = [[] for _ in range(1000)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    frozen = gc.get_freeze_count()
    try:
        with for_good():
            assert not gc.isenabled()
            import imported_for_good
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(imported_for_good.THINGS)
    finally:
        gc.unfreeze()


def test_where_all_is_loaded_nothing_is_kept() -> None:
    frozen = gc.get_freeze_count()
    with for_good():
        import gc as again
    assert again.get_freeze_count() == frozen


def test_a_failed_import_leaves_the_collector_on() -> None:
    with pytest.raises(ModuleNotFoundError), for_good():
        import no_such_module  # noqa: F401
    assert gc.isenabled()
