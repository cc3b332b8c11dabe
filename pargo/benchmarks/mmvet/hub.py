"""MM-Vet as parquet, as on the hub: question_id, image {bytes, path}, question, answer, image_source, capability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pargo.benchmarks.mmvet.meta import make_question
from pargo.benchmarks.records import Question
from pargo.errors import PargoError

COLUMNS = ("question_id", "image", "question", "answer", "capability")


def read_parquet(paths: Sequence[Path]) -> tuple[list[Question], dict[str, bytes]]:
    """The questions in the files' order, and the images by name.

    An image whose path the file does not tell is named after the first question about the same bytes.

    Raises:
        PargoError: no such table, a row that is no question, an id twice, or two images of one name; names the row.
    """
    questions: dict[str, Question] = {}
    images: dict[str, bytes] = {}
    named: dict[bytes, str] = {}
    for path in paths:
        for number, row in enumerate(_rows(path)):
            where = f"{path}: row {number}"
            data, name = _image(row["image"], where)
            name = name or named.setdefault(data, str(row["question_id"]))
            capability = row["capability"]
            names = [part.strip() for part in capability.split(",")] if isinstance(capability, str) else capability
            if not isinstance(names, list):
                raise PargoError(f"{where}: `capability` is {capability!r:.60}, expected text or a list")
            question = make_question(row["question_id"], name, row["question"], row["answer"], names, where)
            if question.id in questions:
                raise PargoError(f"{where}: question {question.id!r} twice")
            if images.setdefault(name, data) != data:
                raise PargoError(f"{where}: question {question.id}: another image is named {name!r} as well")
            questions[question.id] = question
    if not questions:
        raise PargoError(f"{', '.join(map(str, paths))}: no questions")
    return list(questions.values()), images


def _image(cell: Any, where: str) -> tuple[bytes, str]:
    if not isinstance(cell, dict) or not isinstance(cell.get("bytes"), bytes):
        raise PargoError(f"{where}: `image` holds no bytes, expected {{bytes, path}}")
    path = cell.get("path")
    return cell["bytes"], PurePosixPath(path).name if isinstance(path, str) else ""


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path)
        missing = [name for name in COLUMNS if name not in table.schema_arrow.names]
        if not missing:
            return table.read(columns=list(COLUMNS)).to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise PargoError(f"{path}: not a parquet table that can be read: {error}") from None
    raise PargoError(f"{path}: no column {missing[0]!r}; MM-Vet's are {', '.join(COLUMNS)}")
