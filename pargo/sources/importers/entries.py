"""Entries of annotation files, one by one: a list in JSON, one entry a line (`.jsonl`), or rows of `.parquet`."""

from __future__ import annotations

import codecs
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from pargo.errors import InputError

BATCH = 32  # rows of a parquet file in memory at once; they may hold images
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 100, 100


class EntryError(InputError):
    """An entry that cannot be used; `kind` says why in words that entries share."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def short(value: object) -> str:
    """A value as a reason shows it: an entry may hold a megabyte of text, or a thousand levels."""
    return _SHORT.repr(value)


def read_entries(path: Path) -> Iterator[Any]:
    """The entries of a file one by one, so that a list of gigabytes needs no more memory than its longest entry.

    A line that is no JSON comes as the EntryError that says so.

    Raises:
        InputError: the file cannot be read, or is no list.
    """
    try:
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8-sig") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield _line(number, line)
            return
        if path.suffix == ".parquet":
            yield from _rows(path)
            return
        with path.open("rb") as file:
            start = 3 if file.read(3) == codecs.BOM_UTF8 else 0
            file.seek(start)
            if file.read(1024).lstrip()[:1] not in (b"[", b""):
                raise InputError(
                    f"{path}: expected a list of entries, each a mapping with an image and text; a file with "
                    "one entry a line is named .jsonl"
                )
            file.seek(start)
            yield from ijson.items(file, "item")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except ijson.JSONError as error:
        raise InputError(f"{path} is not valid JSON: {' '.join(str(error).split())}") from error


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return EntryError("not valid JSON", f"line {number}: not valid JSON: {error}")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                yield from batch.to_pylist()
    # of damaged files pyarrow raises all of these
    except (pa.ArrowException, ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f"cannot read {path}: {type(error).__name__}: {error}") from error
