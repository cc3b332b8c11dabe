"""Benchmarks: a package each, with the same parts.

| part | what it holds |
|---|---|
| `answers.py` | what a raw answer is taken for, by parser; pure |
| `dataset.py` | official files -> a source (`import_files`), a source -> questions (`read_questions`) |
| `prompt.py` | named presets: wording, template, generation |
| `results.py` | official result files, written from predictions (`write`) and read (`read`) |
| `score.py` | the official rule as pure functions |

They are loaded by name, and a job's source files are those of its own benchmark: a change of one benchmark reruns that
one alone, and a change of a score does not make the models answer again.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

from pargo.errors import PargoError

Part = Literal["answers", "dataset", "prompt", "results", "score"]

# kind in a config, and name of `pargo score` -> package
PACKAGES = {
    "mme": "mme",
    "mini_mme": "mme",
    "mmbench": "mmbench",
    "seedbench": "seedbench",
    "mmvet": "mmvet",
    "pope": "pope",
    "easy_vqa": "easy_vqa",
}


def module(kind: str, part: Part) -> str:
    """Name of a part's module, e.g. `pargo.benchmarks.mme.score`; PargoError lists the benchmarks."""
    if kind not in PACKAGES:
        raise PargoError(f"unknown benchmark {kind!r}; choices: {', '.join(sorted(PACKAGES))}")
    return f"pargo.benchmarks.{PACKAGES[kind]}.{part}"


def answer_modules(kind: str) -> tuple[str, ...]:
    """Modules whose source decides how models answer a benchmark."""
    return "pargo.benchmarks.evaluate", *(module(kind, part) for part in ("answers", "dataset", "prompt", "results"))


def score_modules(kind: str) -> tuple[str, ...]:
    """Modules whose source decides the score of answers to a benchmark."""
    return "pargo.benchmarks.score", *(module(kind, part) for part in ("results", "score"))


def load(kind: str, part: Part) -> ModuleType:
    """The part of a benchmark as a module."""
    return importlib.import_module(module(kind, part))
