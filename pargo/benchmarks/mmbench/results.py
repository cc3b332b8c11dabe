"""MMBench's result tables: the xlsx that its server takes, written from predictions, and tables with answers, read."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pargo.benchmarks.formats.rows import read_bytes
from pargo.benchmarks.mmbench.missing import present, seen_options
from pargo.benchmarks.mmbench.rows import (
    CATEGORY,
    DETAILS,
    L2_CATEGORY,
    LETTERS,
    NO_ANSWERS,
    check_rows,
    number_of,
    question_fields,
)
from pargo.benchmarks.mmbench.tables import read_table
from pargo.benchmarks.records import Answered, Prediction
from pargo.errors import PargoError

OFFICIAL = "official"
TABLE = "mmbench.xlsx"
COLUMNS = ("index", "question", *LETTERS, "prediction")
MAX_CELL = 32_767  # characters, in Excel; what is longer is cut
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MODIFIED = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*")
_NO_TIME = rb"\g<1>1980-01-01T00:00:00Z"


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Write `official/mmbench.xlsx`, a row a prediction; the same predictions give the same bytes.

    Columns: index, question, hint, options, answer (if known), prediction, category and the official details.
    Characters that a sheet cannot hold become a space or a replacement character.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    records = list(predictions)
    letters = sorted({*LETTERS, *(letter for record in records for letter in record.options)})
    answer = ("answer",) if any(record.label for record in records) else ()
    columns = ("index", "question", "hint", *letters, *answer, "prediction", "category", *DETAILS)
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(columns)
    for record in records:
        cells = [WriteOnlyCell(sheet, value=number_of(record))]
        for text in _texts(record, columns[1:]):
            cells.append(WriteOnlyCell(sheet, value=text or None))
            if text:
                cells[-1].data_type = "s"  # not a formula, whatever it begins with
        sheet.append(cells)
    buffer = io.BytesIO()
    book.save(buffer)
    folder = directory / OFFICIAL
    folder.mkdir()
    (folder / TABLE).write_bytes(_without_times(buffer))


def _texts(record: Prediction, columns: Sequence[str]) -> Iterator[str]:
    own = {
        "question": record.question,
        "hint": record.hint,
        "answer": record.label,
        "prediction": record.answer,
        "category": record.task,
        **record.options,
        **record.details,
    }
    for name in columns:
        yield _NOT_IN_XML.sub(lambda found: " " if found[0].isspace() else "\ufffd", own.get(name, ""))[:MAX_CELL]


def _without_times(archive: io.BytesIO) -> bytes:
    """The zip file with neither the time it was written at nor those of its members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "docProps/core.xml":
                data = _MODIFIED.sub(_NO_TIME, data)
            target.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read(inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None) -> list[Answered]:
    """The answers of one table (tsv, csv, xlsx), by index, as the official tool sorts them.

    Any part of the benchmark is a table that the official tool takes, so `partial` changes nothing. Categories may be
    missing, as in LLaVA's upload: then there is one task, `all`. Answers stay as the cells have them.

    Raises:
        PargoError: not one table, a broken one, an index twice, or rows without answer; names file and line.
    """
    if len(inputs) != 1 or not inputs[0].is_file():
        names = ", ".join(map(str, inputs)) or "nothing"
        raise PargoError(
            f"mmbench takes one table (tsv, csv or xlsx) with {', '.join(COLUMNS)} and answer, got {names}"
        )
    rows = read_table(read_bytes(inputs[0]), str(inputs[0]), COLUMNS)
    check_rows(rows)
    lacking = [name for name in (CATEGORY, L2_CATEGORY) if not any(present(row.record.get(name, "")) for row in rows)]
    if lacking and notes is not None:
        notes.append(f"{inputs[0]} has no {' and no '.join(lacking)}, so there are no figures by it")
    answers = [Answered(**question_fields(row), image="", answer=row.record["prediction"]) for row in rows]
    if open_rows := [row.where for row, answer in zip(rows, answers, strict=True) if not answer.label]:
        raise PargoError(
            f"{open_rows[0]}: no answer to score by ({len(open_rows)} of {len(rows)} rows have none); {NO_ANSWERS}"
        )
    answers.sort(key=number_of)
    lost = [answer.id for answer in answers if answer.label not in seen_options(answer.options)]
    if lost and notes is not None:
        notes.append(
            f"the right option of {len(lost)} row(s) is empty or reads as missing, e.g. index {lost[0]}; "
            "such rows are wrong whatever the answer, as in the official tool"
        )
    return answers
