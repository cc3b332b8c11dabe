"""MMBench's official tables (tsv with base64 images, parquet of the hub) become a source, and a source questions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pargo.benchmarks.mmbench.rows import LETTERS, check_rows, question_fields, read_index
from pargo.benchmarks.mmbench.tables import Row, read_parquet, read_table
from pargo.benchmarks.questions import image_extension, read_source, write_source
from pargo.benchmarks.records import Question
from pargo.config.data import MMBench
from pargo.errors import PargoError

COLUMNS = ("index", "question", *LETTERS, "category", "image")
SUFFIXES = (".tsv", ".parquet")
MAX_INDEX_CELL = 64  # characters; a shorter cell of the column `image` is the index of the row that holds the image


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Fill the split `directory` from official tables, or folders of such; several are read one after the other.

    Args:
        paths: `MMBench_DEV_EN.tsv` and its like, or parquet files of `lmms-lab/MMBench` (en, cn, cc).
        directory: the split's folder of the source.

    Raises:
        PargoError: a table that cannot be read, a row that is no question, or an image that is none; names file and
            line.
    """
    rows = [row for path in _tables(paths) for row in _read(path)]
    check_rows(rows)
    by_index = {read_index(row.cells["index"], row.where): row for row in rows}
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


def _tables(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise PargoError(f"{path} holds no {' or '.join(SUFFIXES)} files")
        found += inside
    if not found:
        raise PargoError("no files of MMBench to import")
    return found


def _read(path: Path) -> list[Row]:
    if path.suffix not in SUFFIXES:
        raise PargoError(f"{path}: not a file of MMBench; expected {' or '.join(SUFFIXES)}")
    return read_parquet(path, COLUMNS) if path.suffix == ".parquet" else read_table(path, COLUMNS)


def _image(row: Row, by_index: Mapping[str, Row]) -> bytes:
    if row.image is not None:
        return row.image
    cell = row.cells.get("image", "").strip()
    if not cell:
        raise PargoError(f"{row.where}: no image")
    if len(cell) > MAX_INDEX_CELL:
        return _decode(cell, row.where)
    holder = by_index.get(read_index(cell, f"{row.where}: image cell"))
    if holder is None:
        raise PargoError(f"{row.where}: image is that of row {cell}, which is not in the table")
    if holder.image is None and len(holder.cells.get("image", "").strip()) <= MAX_INDEX_CELL:
        raise PargoError(f"{row.where}: image is that of row {cell} ({holder.where}), which holds none itself")
    return _image(holder, by_index)


def _decode(cell: str, where: str) -> bytes:
    try:
        return base64.b64decode("".join(cell.split()), validate=True)
    except ValueError as error:
        raise PargoError(f"{where}: image is not base64: {error}") from None
