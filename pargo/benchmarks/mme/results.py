"""MME's official result files: `<task>.txt`, a line a question: image TAB question TAB ground truth TAB response."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from pargo.benchmarks.mme.dataset import TASKS
from pargo.benchmarks.records import Prediction

OFFICIAL = "official"
_FIELD_BREAKS = str.maketrans("\t\n\r", "   ")  # one character for one: the parsers count characters


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Write `official/<task>.txt` as the official calculation.py reads it.

    A line a question: `image TAB question TAB ground truth TAB response`. A tab or line break in a response becomes
    a space.
    """
    folder = directory / OFFICIAL
    folder.mkdir()
    ordered = sorted(predictions, key=lambda prediction: TASKS.index(prediction.task))  # stable
    for task, group in groupby(ordered, key=lambda prediction: prediction.task):
        text = "".join(
            f"{Path(item.image).name}\t{item.question}\t{item.label}\t{item.answer.translate(_FIELD_BREAKS)}\n"
            for item in group
        )
        (folder / f"{task}.txt").write_text(text, encoding="utf-8", newline="\n")
