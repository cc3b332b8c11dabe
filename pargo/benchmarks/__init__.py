"""Benchmarks: a package each, with the same parts.

| part | what it holds |
|---|---|
| `answers.py` | what a raw answer is taken for, by parser; pure |
| `dataset.py` | official files -> a source (`import_files`), a source -> questions (`read_questions`) |
| `prompt.py` | named presets: wording, template, generation |
| `results.py` | official result files, written from predictions (`write`) and read (`read`) |
| `score.py` | the official rule as pure functions |

`parts.py` has a protocol for each. They are loaded by name, and a job's source files are those of its own benchmark: a
change of one benchmark reruns that one alone, and a change of a score does not make the models answer again.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Literal

from pargo.config.benchmarks import BENCHMARKS, part

Part = Literal["answers", "dataset", "prompt", "results", "score"]


def answer_modules(kind: str) -> tuple[str, ...]:
    """Modules whose source decides how models answer a benchmark."""
    parts = (part(kind, name) for name in ("answers", "dataset", "prompt", "results"))
    return "pargo.benchmarks.answering.evaluate", BENCHMARKS.module(kind), *parts


def score_modules(kind: str) -> tuple[str, ...]:
    """Modules whose source decides the score of answers to a benchmark."""
    return "pargo.benchmarks.scores.score", BENCHMARKS.module(kind), part(kind, "results"), part(kind, "score")


def load(kind: str, name: Part) -> ModuleType:
    """The part of a benchmark as a module; `pargo.benchmarks.parts` has it typed."""
    return importlib.import_module(part(kind, name))
