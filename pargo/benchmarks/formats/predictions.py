"""The results of a benchmark that has no format of its own: `predictions.jsonl` is all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pargo.benchmarks.records import Answered, Prediction, read_predictions
from pargo.errors import PargoError


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Nothing to write."""


def read(inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None) -> list[Answered]:
    """The answers of one `predictions.jsonl`."""
    if len(inputs) != 1:
        raise PargoError(f"expected one predictions file, got {len(inputs)} inputs")
    return list(read_predictions(inputs[0]))
