"""The hub's parquet tables: rows a few at a time, since they hold images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from pargo.benchmarks.formats.official import Entry
from pargo.benchmarks.formats.rows import Row, shorten
from pargo.errors import PargoError

BATCH = 32  # rows in memory at once


class HubImage(NamedTuple):
    """An image's bytes, and the name of its file, "" where it is not told."""

    data: bytes
    name: str


def parquet_rows(entry: Entry, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of a parquet file; their `where` counts them from 1.

    Args:
        entry: the file.
        columns: those that are needed, and read; by default all.

    Raises:
        PargoError: no readable parquet file, or a column that lacks or is there twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(entry.path or pa.BufferReader(entry.read())) as file:
            names = Counter(file.schema_arrow.names)
            if missing := [name for name in columns or () if name not in names]:
                expected = ", ".join(columns or ())
                raise PargoError(f"{entry.where}: no column {missing[0]!r}; expected {expected}")
            if twice := [name for name, count in names.items() if count > 1]:
                raise PargoError(f"{entry.where}: column {twice[0]!r} twice")
            for batch in file.iter_batches(batch_size=BATCH, columns=columns and list(columns)):
                for record in batch.to_pylist():
                    number += 1
                    yield Row(f"{entry.where}: row {number}", record)
    # of damaged files pyarrow raises all of these
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise PargoError(f"{entry.where}: not a readable parquet file: {type(error).__name__}: {error}") from None


def hub_image(row: Row) -> HubImage:
    """A row's `image`: bytes, a struct {bytes, path}, or a list of one.

    Raises:
        PargoError: none, several, or one whose bytes are not in the file.
    """
    found = row.value("image")
    images = found if isinstance(found, list) else [found]
    image = images[0] if len(images) == 1 else None
    data, path = (image.get("bytes"), image.get("path")) if isinstance(image, dict) else (image, None)
    if not isinstance(data, bytes):
        raise PargoError(f"{row.where}: `image` must hold the bytes of one image, found {shorten(images)}")
    return HubImage(data, PurePosixPath(path).name if isinstance(path, str) else "")
