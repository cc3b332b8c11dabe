"""A row of MMBench as a question, and which rows belong together: every rotation of the options is a row of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pargo.benchmarks.formats.rows import Row
from pargo.benchmarks.mmbench.missing import present, read_options
from pargo.benchmarks.records import Question
from pargo.errors import PargoError

LETTERS = "ABCD"
CATEGORY = "category"
NO_CATEGORY = "all"  # task of tables that do not say the category
L2_CATEGORY = "l2-category"
NO_ANSWERS = "MMBench's test split has none published: its server scores the xlsx table"
DETAILS = (L2_CATEGORY, "split", "source", "comment")
TABLE = "table"  # among a question's details: the official name of its table
ROTATION = 1_000_000  # rotation k of the row with index i has the index i + k * ROTATION
# MMBench_DEV_EN.tsv or MMBench_TEST_CN_V11.tsv, also within the name of a file of results
_TABLE_NAME = re.compile(r"mmbench_(?:dev|test)_(?:en|cn)(?:_v11)?(?![^\W_])", re.IGNORECASE)
_HUB_NAME = re.compile(r"(?:^|/)((?:en|cn)/(?:dev|test))-[^/]*$")  # en/dev-00000-of-00001.parquet
_INDEX = re.compile(r"(\d{1,15})(?:\.0+)?", re.ASCII)


def read_index(text: str, where: str) -> str:
    """The index as an id; `12`, `12.0` and ` 12` are the same one. PargoError when it is no whole number."""
    if found := _INDEX.fullmatch(text.strip()):
        return str(int(found[1]))
    raise PargoError(f"{where}: index {text!r}, expected a whole number")


def number_of(question: Question) -> int:
    """The index as a number; PargoError when the id is none."""
    if read_index(question.id, f"question {question.id}") != question.id:
        raise PargoError(f"question {question.id}: expected its index, written as a plain whole number, as id")
    return int(question.id)


def group_of(question: Question) -> str:
    """The id of the main row: the question whose options this row rotates, which may be itself."""
    return str(number_of(question) % ROTATION)


def question_fields(row: Row) -> dict[str, Any]:
    """The fields of a `Question`, but its image; the task is the leaf category, or `all` where no row has one.

    Cells that read as missing are (`pargo.benchmarks.mmbench.missing`). `details` hold the columns `DETAILS`, and the
    official name of the table (`table_of`).

    Raises:
        PargoError: no whole number as index, no option, or an answer that is no letter of an option.
    """
    cells = row.record
    options = read_options(cells)
    label = present(cells.get("answer", "").strip())
    if not options:
        raise PargoError(f"{row.where}: no option, each is empty or reads as missing")
    # tables that pandas wrote have an empty cell where the right option read `None`; the score counts such rows
    if label and label not in options and label not in set(LETTERS):
        raise PargoError(f"{row.where}: answer {label!r} is none of the row's options {', '.join(options)}")
    details = {name: present(cells.get(name, "").strip()) for name in DETAILS}
    return {
        "id": read_index(cells["index"], row.where),
        "task": present(cells.get(CATEGORY, "").strip()) or NO_CATEGORY,
        "question": cells["question"],
        "label": label,
        "hint": present(cells.get("hint", "")),
        "options": options,
        "details": {name: text for name, text in details.items() if text} | table_of(row.where),
    }


def table_of(where: str) -> dict[str, str]:
    """`{"table": official name}` where the name of a row's file has it, else nothing."""
    found = _TABLE_NAME.findall(where.rpartition("/")[2]) or _HUB_NAME.findall(where)
    return {TABLE: found[-1]} if found else {}


def check_rows(rows: Iterable[Row]) -> None:
    """Raise PargoError when an index is there twice, or when only some rows have a category, or an l2-category."""
    seen: dict[str, str] = {}
    first: dict[str, dict[bool, str]] = {CATEGORY: {}, L2_CATEGORY: {}}
    for row in rows:
        index = read_index(row.record["index"], row.where)
        if index in seen:
            raise PargoError(f"{row.where}: index {index} twice, first at {seen[index]}")
        seen[index] = row.where
        for name, places in first.items():
            places.setdefault(bool(present(row.record.get(name, "").strip())), row.where)
    for name, places in first.items():
        if len(places) > 1:
            raise PargoError(f"{places[False]}: empty {name}, while other rows have one ({places[True]})")
