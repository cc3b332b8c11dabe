"""MMBench's official tables (tsv with base64 images, parquet of the hub) become a source, and a source questions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pargo.benchmarks.formats.official import Entry, open_files
from pargo.benchmarks.formats.rows import Row
from pargo.benchmarks.mmbench.hub import read_hub
from pargo.benchmarks.mmbench.rows import CATEGORY, LETTERS, check_rows, question_fields, read_index
from pargo.benchmarks.mmbench.tables import read_table
from pargo.benchmarks.questions import image_extension, read_source, write_source
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.mmbench import MMBench
from pargo.errors import PargoError

COLUMNS = ("index", "question", *LETTERS, CATEGORY, "image")
SUFFIXES = (".tsv", ".parquet")
MAX_INDEX_CELL = 64  # characters; a shorter cell of the column `image` is the index of the row that holds the image


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Fill the split `directory` from official tables, alone, in folders or in zips; they are read one after the other.

    Args:
        paths: `MMBench_DEV_EN.tsv` and its like, or parquet files of `lmms-lab/MMBench` (en, cn, cc).
        directory: the split's folder of the source.

    Raises:
        PargoError: a table that cannot be read, a row that is no question, or an image that is none; names file and
            line.
    """
    if not paths:
        raise PargoError("no files of MMBench to import")
    rows = [row for path in paths for row in _read(path)]
    check_rows(rows)
    by_index = {read_index(row.record["index"], row.where): row for row in rows}
    questions: list[Question] = []
    names: dict[str, str] = {}  # hash of an image -> its name: the older tables repeat it in every rotation
    images: dict[str, bytes] = {}
    for row in rows:
        fields, data = question_fields(row), _image(row, by_index)
        digest = hashlib.sha256(data).hexdigest()
        if digest not in names:
            names[digest] = fields["id"] + image_extension(data, row.where)
            images[names[digest]] = data
        questions.append(Question(**fields, image=names[digest]))
    write_source(directory, questions, images.items())


def read_questions(source: Path, benchmark: MMBench) -> list[Question]:
    """The questions of the benchmark's split, in official order; every rotation is one.

    Raises:
        PargoError: no such split, or a broken one.
    """
    return read_source(source / benchmark.split)


def _read(path: Path) -> list[Row]:
    if path.is_file() and path.suffix.lower() not in (*SUFFIXES, ".zip"):
        raise PargoError(f"{path}: not a file of MMBench; expected {' or '.join(SUFFIXES)}, a folder or a zip")
    with open_files([path]) as files:
        tables = files.with_suffix(*SUFFIXES)
        if not tables:
            raise PargoError(f"{path} holds no {' or '.join(SUFFIXES)} files")
        return [row for table in tables for row in _read_entry(table)]


def _read_entry(table: Entry) -> list[Row]:
    if table.name.lower().endswith(".parquet"):
        return read_hub(table, COLUMNS)
    return read_table(table.read(), table.where, COLUMNS)


def _image(row: Row, by_index: Mapping[str, Row]) -> bytes:
    cell = row.record["image"]
    if isinstance(cell, bytes):
        return cell
    cell = cell.strip()
    if not cell:
        raise PargoError(f"{row.where}: no image")
    if len(cell) > MAX_INDEX_CELL:
        return _decode(cell, row.where)
    holder = by_index.get(read_index(cell, f"{row.where}: image cell"))
    if holder is None:
        raise PargoError(f"{row.where}: image is that of row {cell}, which is not in the table")
    held = holder.record["image"]
    if isinstance(held, str) and len(held.strip()) <= MAX_INDEX_CELL:
        raise PargoError(f"{row.where}: image is that of row {cell} ({holder.where}), which holds none itself")
    return _image(holder, by_index)


def _decode(cell: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(cell.split()), validate=True)
    except ValueError as error:
        raise PargoError(f"{where}: image is not base64: {error}") from None
