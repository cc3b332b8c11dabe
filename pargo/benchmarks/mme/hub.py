"""MME as the hub has it: parquet files, a row a question, the two rows of an image one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.benchmarks.mme.pairs import EXTENSIONS, Pair, check_pair
from pargo.benchmarks.questions import image_extension
from pargo.errors import PargoError

COLUMNS = ("question_id", "image", "question", "answer", "category")
BATCH = 32  # rows in memory at once


def read_hub(paths: Sequence[Path]) -> Iterator[Pair]:
    """The pairs of parquet files in their order; a pair may begin in one file and end in the next.

    Raises:
        PargoError: no parquet file, a column that lacks or holds something else, or rows that are no pairs.
    """
    waiting: tuple[str, dict[str, Any]] | None = None
    for where, row in _rows(paths):
        if waiting is None:
            waiting = where, row
            continue
        first_where, first = waiting
        waiting = None
        for column in ("question_id", "category", "image"):
            if row[column] != first[column]:
                what = "another image" if column == "image" else f"{row[column]!r}, expected {first[column]!r}"
                raise PargoError(f"{where}: {column}: {what} as in the row before: an image has two rows in a row")
        questions = check_pair(
            [(first_where, first["question"], first["answer"]), (where, row["question"], row["answer"])]
        )
        yield Pair(row["category"], _name(row, first_where), row["image"], questions, first_where)
    if waiting:
        raise PargoError(f"{waiting[0]}: one question about {waiting[1]['question_id']!r}, expected two rows in a row")


def _rows(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row is, and its columns, checked; the image as bytes."""
    for path in paths:
        number = 0
        try:
            with pq.ParquetFile(path) as file:
                if missing := [column for column in COLUMNS if column not in file.schema_arrow.names]:
                    raise PargoError(f"{path}: no column {', '.join(missing)}; MME has {', '.join(COLUMNS)}")
                for batch in file.iter_batches(batch_size=BATCH, columns=list(COLUMNS)):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{path}, row {number}", _check(row, f"{path}, row {number}")
        except (pa.ArrowException, OSError) as error:
            raise PargoError(f"{path}: not a readable parquet file: {error}") from error


def _check(row: dict[str, Any], where: str) -> dict[str, Any]:
    image = row["image"]
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        raise PargoError(f"{where}: image holds no bytes")
    for column in COLUMNS:
        if column != "image" and not isinstance(row[column], str):
            raise PargoError(f"{where}: {column} is {row[column]!r}, expected text")
    return {**row, "image": data}


def _name(row: dict[str, Any], where: str) -> str:
    """`code_reasoning/0020.png` is named 0020.png; an id without extension gets that of its bytes."""
    name = PurePosixPath(row["question_id"]).name
    return name if name.lower().endswith(EXTENSIONS) else name + image_extension(row["image"], where)
