"""MM-Vet as parquet, as on the hub: question_id, image {bytes, path}, question, answer, image_source, capability."""

from __future__ import annotations

from collections.abc import Sequence

from pargo.benchmarks.formats.official import Entry
from pargo.benchmarks.formats.parquet import hub_image, parquet_rows
from pargo.benchmarks.mmvet.meta import make_question
from pargo.benchmarks.records import Question
from pargo.errors import PargoError

COLUMNS = ("question_id", "image", "question", "answer", "capability")


def read_hub(tables: Sequence[Entry]) -> tuple[list[Question], dict[str, bytes]]:
    """The questions in the files' order, and the images by name.

    An image whose path the file does not tell is named after the first question about the same bytes.

    Raises:
        PargoError: no such table, a row that is no question, an id twice, or two images of one name; names the row.
    """
    questions: dict[str, Question] = {}
    images: dict[str, bytes] = {}
    named: dict[bytes, str] = {}
    for row in (row for table in tables for row in parquet_rows(table, COLUMNS)):
        where, record = row
        data, name = hub_image(row)
        name = name or named.setdefault(data, str(record["question_id"]))
        capability = record["capability"]
        names = [part.strip() for part in capability.split(",")] if isinstance(capability, str) else capability
        if not isinstance(names, list):
            raise PargoError(f"{where}: `capability` is {capability!r:.60}, expected text or a list")
        question = make_question(record["question_id"], name, record["question"], record["answer"], names, where)
        if question.id in questions:
            raise PargoError(f"{where}: question {question.id!r} twice")
        if images.setdefault(name, data) != data:
            raise PargoError(f"{where}: question {question.id}: another image is named {name!r} as well")
        questions[question.id] = question
    if not questions:
        raise PargoError(f"{', '.join(table.where for table in tables)}: no questions")
    return list(questions.values()), images
