"""MME as the hub has it: parquet files, a row a question, the two rows of an image one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from pargo.benchmarks.formats.official import Entry
from pargo.benchmarks.formats.parquet import hub_image, parquet_rows
from pargo.benchmarks.formats.rows import Row
from pargo.benchmarks.mme.pairs import Pair, check_pair
from pargo.benchmarks.questions import image_extension
from pargo.data.image_names import BENCHMARK, is_image_name
from pargo.errors import PargoError

COLUMNS = ("question_id", "image", "question", "answer", "category")


def read_hub(tables: Sequence[Entry]) -> Iterator[Pair]:
    """The pairs of parquet files in their order; a pair may begin in one file and end in the next.

    Raises:
        PargoError: no parquet file, a column that lacks or holds something else, or rows that are no pairs.
    """
    first: Row | None = None
    for row in (row for table in tables for row in parquet_rows(table, COLUMNS)):
        if first is None:
            first = row
            continue
        data = hub_image(first).data
        for column in ("question_id", "category"):
            if row.text(column) != first.text(column):
                raise PargoError(
                    f"{row.where}: {column}: {row.text(column)!r}, expected {first.text(column)!r} as in the row "
                    "before: an image has two rows in a row"
                )
        if hub_image(row).data != data:
            raise PargoError(f"{row.where}: image: another image as in the row before: an image has two rows in a row")
        questions = check_pair([(each.where, each.text("question"), each.text("answer")) for each in (first, row)])
        name = PurePosixPath(row.text("question_id")).name  # `code_reasoning/0020.png`, sometimes without extension
        if not is_image_name(name, BENCHMARK):
            name += image_extension(data, first.where)
        yield Pair(row.text("category"), name, data, questions, first.where)
        first = None
    if first:
        raise PargoError(f"{first.where}: one question about {first.text('question_id')!r}, expected two rows in a row")
