"""MMBench's tables (tsv, csv, xlsx) as rows of text that know their line.

Cells are taken as they are written: an option may read `None`, `NA` or `null`.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any

from pargo.benchmarks.formats.rows import Row, decode
from pargo.errors import InputError, PargoError
from pargo.fetch.archives import Limits, zip_files

DELIMITERS = {".tsv": "\t", ".csv": ","}
MAX_ROWS = 1_048_576  # of an Excel sheet
MAX_EXCEL = Limits(max_bytes=2**30)  # unpacked, which openpyxl does in memory
MAX_FIELD = 2**31 - 1  # csv refuses fields beyond 128 KiB by default; images are longer
_END = "\0end of table"


def read_table(data: bytes, where: str, required: Sequence[str]) -> list[Row]:
    """The rows of a table; blank rows are left out.

    Args:
        data: bytes of the file.
        where: its name, whose ending says what it is.
        required: columns. All names are lower case, but for the letters of options.

    Raises:
        PargoError: not a readable table, a required column that is missing, a column twice, a row with more or fewer
            cells than the header, or no rows.
    """
    kind = PurePath(where).suffix.lower()
    if kind in DELIMITERS:
        lines = _delimited(where, data, DELIMITERS[kind])
    elif kind == ".xlsx":
        lines = _excel(where, data)
    else:
        raise PargoError(f"{where}: not a table that can be read; expected {', '.join((*DELIMITERS, '.xlsx'))}")
    return _rows(where, lines, required)


def _rows(path: str, lines: Iterable[tuple[int, list[str]]], required: Sequence[str]) -> list[Row]:
    header: list[str] = []
    rows = []
    for number, cells in lines:
        if not any(cells):
            continue
        if not header:
            header = check_columns(cells, required, f"{path}:{number}")
            continue
        if len(cells) != len(header):
            raise PargoError(
                f"{path}:{number}: {len(cells)} cells, but the header has {len(header)}; is there an unquoted tab, "
                "comma or line break in a cell?"
            )
        rows.append(Row(f"{path}:{number}", dict(zip(header, cells, strict=True))))
    if not header:
        raise PargoError(f"{path} is empty; expected a header with {', '.join(required)}")
    if not rows:
        raise PargoError(f"{path} has a header, but no rows")
    return rows


def check_columns(names: Iterable[str], required: Sequence[str], where: str) -> list[str]:
    """The columns' names as rows have them; PargoError, which begins with `where`, when one is missing or twice."""
    stripped = [name.strip() for name in names]
    columns = [name if len(name) == 1 and name.isupper() else name.lower() for name in stripped]
    if twice := [name for name, number in Counter(columns).items() if name and number > 1]:
        raise PargoError(f"{where}: column {twice[0]!r} twice")
    if missing := [name for name in required if name not in columns]:
        raise PargoError(f"{where}: no column {missing[0]!r}; expected {', '.join(required)}")
    return columns


def _delimited(path: str, data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    text = decode(data, path)
    if _END in text:
        raise PargoError(f"{path}: holds {_END!r}, which no table has")
    csv.field_size_limit(MAX_FIELD)
    # a quote that is never closed swallows the line added here
    reader = csv.reader(io.StringIO(f"{text}\n{_END}", newline=""), delimiter=delimiter)
    start, cells = 1, [_END]
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except csv.Error as error:
            raise PargoError(f"{path}:{start}: {error}") from None
        if cells == [_END]:
            return
        if cells and cells[-1].endswith(_END):
            raise PargoError(f"{path}:{start}: a quote that opens in this row is never closed")
        yield start, cells


def _excel(path: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            zip_files(path, archive, len(data), MAX_EXCEL)
        sheet = load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may be wrong
        rows = [
            (number, [cell_text(value) for value in values])
            for number, values in enumerate(sheet.iter_rows(values_only=True, max_row=MAX_ROWS), start=1)
        ]
    except InputError:
        raise
    except Exception as error:  # openpyxl, zipfile and the XML parser have no common error
        raise PargoError(f"{path}: not a readable xlsx file: {type(error).__name__}: {error}") from None
    # trailing blank cells may be there or not, row by row
    width = 0
    for number, cells in rows:
        while len(cells) > width and not cells[-1]:
            cells.pop()
        width = width or len(cells)
        yield number, cells + [""] * (width - len(cells))


def cell_text(value: Any) -> str:
    """A cell that is no text as one: `7` for 7.0, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
