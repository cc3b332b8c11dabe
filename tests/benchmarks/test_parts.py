"""mypy takes the modules of every benchmark, source kind and importer for what the protocols say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pargo.code import ROOT
from pargo.config.benchmarks import BENCHMARKS, PARTS
from pargo.config.sources import SOURCES, maker
from pargo.config.sources.official import official_benchmarks
from pargo.config.sources.wheel import importer, importers

MORE = {
    "rank": "RankingPart",
    "label_spans": "LabelLossesPart",
    "add_grades": "GradedResultsPart",
    "check_complete": "WholeResultsPart",
}


def implementations() -> list[tuple[str, str]]:
    """Dotted names of a protocol and of a module that should be one."""
    found = [("pargo.sources.makers.Maker", maker(kind)) for kind in SOURCES.names]
    found += [("pargo.sources.wheels.Importer", importer(name)) for name in importers()]
    for kind in BENCHMARKS.names:
        settings = BENCHMARKS.settings(kind)
        package = f"pargo.benchmarks.{settings.package or kind}"
        for part in PARTS:
            room = {"prompt": "answering.prompts", "score": "scores.rule"}.get(part, "parts")
            found.append((f"pargo.benchmarks.{room}.{part.capitalize()}Part", f"{package}.{part}"))
        needs = [(part, name) for part, names in settings.needs.items() for name in names]
        found += [(f"pargo.benchmarks.parts.{MORE[name]}", f"{package}.{part}") for part, name in needs]
        if kind in official_benchmarks():
            found.append(("pargo.benchmarks.parts.OfficialFilesPart", f"{package}.dataset"))
    return found


def check(folder: Path, pairs: list[tuple[str, str]]) -> str:
    """What mypy says of assignments of modules to protocols."""
    lines = [f"import {name}" for pair in pairs for name in (pair[0].rpartition(".")[0], pair[1])]
    lines += [f"is_{number}: {protocol} = {module}" for number, (protocol, module) in enumerate(pairs)]
    (folder / "parts_of_all.py").write_text("\n".join(lines) + "\n")
    command = ["-m", "mypy", "--no-error-summary", "--follow-imports=silent", str(folder / "parts_of_all.py")]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_modules_are_what_their_protocols_say(tmp_path: Path) -> None:
    assert check(tmp_path, implementations()) == ""


def test_a_module_that_is_not_is_told(tmp_path: Path) -> None:
    assert "Incompatible types" in check(
        tmp_path, [("pargo.benchmarks.parts.RankingPart", "pargo.benchmarks.mme.answers")]
    )
