"""Benchmarks: each is a package with a dataset (questions, official export), its answers' parser and its score.

`evaluate.DATASETS` and `score.SCORERS` name them, apart from each other: a change of a score must not make the models
answer again, so no dataset imports a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pargo.errors import PargoError

T = TypeVar("T")


def find(table: Mapping[str, T], kind: str) -> T:
    """The entry of exactly this name; PargoError lists the choices."""
    if kind not in table:
        raise PargoError(f"unknown benchmark {kind!r}; choices: {', '.join(sorted(table))}")
    return table[kind]
