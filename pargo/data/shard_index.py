"""The index of shards, `index.parquet`: a row per sample says in which file, and where in it, image and record lie.

Columns: id, shard (the image's file; relative to the index, or absolute where files are read in place), image_offset,
image_size, record_shard, record_offset, record_size, sha256 (of the image's bytes), order (row numbers by id).
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pargo.errors import InputError, PargoError

INDEX = "index.parquet"
FILES = ("shard", "record_shard")
NUMBERS = ("image_offset", "image_size", "record_offset", "record_size")
SCHEMA = pa.schema(
    {"id": pa.string()}
    | {name: pa.string() for name in FILES}
    | {name: pa.int64() for name in NUMBERS}
    | {"sha256": pa.binary(32)}
)
_BLOCK = 4096  # ids that become Python strings at a time
_GROUP = 1 << 16  # rows that are decoded at a time


class Ids(Sequence[str]):
    """Ids in the order of the index; they become Python strings when they are asked for."""

    def __init__(self, column: pa.StringArray, order: np.ndarray) -> None:
        self._column = column
        self._order = order  # [len], rows by id

    @classmethod
    def of(cls, names: Iterable[str], where: Path) -> Ids:
        """Ids from strings, of which only a few exist at a time.

        Raises:
            InputError: one comes twice in the file `where`.
        """
        names = iter(names)
        column = pa.concat_arrays(
            [pa.array([], pa.string()), *(pa.array(part, pa.string()) for part in iter(lambda: _some(names), []))]
        )
        order = pc.sort_indices(column).cast(pa.int32())
        _check_order(column, order, where)
        return cls(column, _array(order))

    def where(self, kept: np.ndarray) -> Ids:
        """The ids of some rows, in their order; `kept` is bool [len]."""
        places = np.cumsum(kept, dtype=np.int32) - 1
        return Ids(self._column.filter(pa.array(kept)), places[self._order[kept[self._order]]])

    def absent(self, known: Ids) -> list[str]:
        """Those of these ids that are not among others."""
        inside = pc.is_in(self._column, value_set=known._column)
        return self._column.filter(pc.invert(inside)).to_pylist()

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self._column[row].as_py() for row in range(*place.indices(len(self)))]
        return self._column[int(place)].as_py()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BLOCK):
            yield from self._column.slice(start, _BLOCK).to_pylist()

    def index(self, value: str, *_: Any) -> int:
        """The row of an id, by bisection.

        Raises:
            ValueError: there is no such id.
        """
        place = bisect_left(self._order, value, key=lambda row: self._column[int(row)].as_py())
        if place < len(self):
            row = int(self._order[place])
            if self._column[row].as_py() == value:
                return row
        raise ValueError(f"no id {value!r}")

    def __contains__(self, value: object) -> bool:
        try:
            return isinstance(value, str) and self.index(value) >= 0
        except ValueError:
            return False

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same ids in the same order."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]


def _some(names: Iterator[str]) -> list[str]:
    return list(islice(names, _BLOCK))


def write_index(directory: Path, table: pa.Table) -> None:
    """Write the index of all samples, the last file of a folder of shards; it appears whole or not at all.

    Args:
        directory: of the shards.
        table: the columns of `SCHEMA`.

    Raises:
        InputError: an id comes twice.
    """
    ids = pa.concat_arrays(table["id"].chunks)
    order = pc.sort_indices(ids).cast(pa.int32())
    _check_order(ids, order, directory)
    table = table.append_column("order", order)
    temporary = directory / f".{INDEX}"
    with temporary.open("wb") as file:
        pq.write_table(table, file, row_group_size=_GROUP, use_dictionary=list(FILES), write_statistics=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / INDEX)


class Index:
    """An index in memory: Arrow columns and arrays, about 120 bytes a sample.

    Raises:
        PargoError: there is none, or it is not of this layout.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / INDEX
        if not path.is_file():
            raise PargoError(f"{path} does not exist: {directory} is no finished folder of shards")
        wanted = pa.schema([*SCHEMA, pa.field("order", pa.int32())])
        try:
            with pq.ParquetFile(path, read_dictionary=list(FILES), pre_buffer=False) as file:
                found = file.schema_arrow.names
                if absent := ", ".join(name for name in wanted.names if name not in found):
                    raise PargoError(f"{path} is of another layout: no column {absent}; make the source again")
                ids, order = (_column(file, wanted.field(name), path) for name in ("id", "order"))
                # first, as it needs as much memory as the other columns
                _check_order(ids, order, path)
                columns = {name: _column(file, wanted.field(name), path) for name in (*FILES, *NUMBERS, "sha256")}
        except (OSError, pa.ArrowException) as error:
            raise PargoError(f"{path} is damaged: {error}; make the source again") from error
        self.ids = Ids(ids, _array(order))
        self.numbers = {name: _array(columns[name]) for name in NUMBERS}
        if any(len(numbers) and numbers.min() < 0 for numbers in self.numbers.values()):
            raise PargoError(f"{path} is damaged: it holds negative places; make the source again")
        self.sha256: pa.FixedSizeBinaryArray = columns["sha256"]
        self.files = {name: columns[name] for name in FILES}


def _column(file: pq.ParquetFile, field: pa.Field, path: Path) -> pa.Array:
    """One column in one piece; a column at a time, so that what decoding needs is freed before the next."""
    column = file.read([field.name], use_threads=False).column(0)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if kind != field.type or column.null_count:
        raise PargoError(f"{path} is damaged: column {field.name} holds {kind}, {column.null_count} nulls")
    column = column.unify_dictionaries()
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _array(column: pa.Array) -> np.ndarray:
    """The numbers of a column as they are in memory; `to_numpy` would import pandas, which takes 40 MB."""
    return np.frombuffer(column.buffers()[1] or b"", column.type.to_pandas_dtype())[column.offset :][: len(column)]


def _check_order(ids: pa.Array, order: pa.Array, where: Path) -> None:
    """Raise InputError unless `order` sorts the ids and each is there once."""
    rows = _array(order)
    if len(rows) and (rows.min() < 0 or rows.max() >= len(ids)):
        raise InputError(f"{where} is damaged: its column order holds no row numbers; make the source again")
    for start in range(0, len(order), _GROUP):
        ordered = ids.take(order.slice(start, _GROUP + 1))
        right = pc.less(ordered.slice(0, len(ordered) - 1), ordered.slice(1))
        if len(right) and not pc.all(right).as_py():
            row = pc.index(right, False).as_py()
            if ordered[row] == ordered[row + 1]:
                raise InputError(f"{where}: sample {ordered[row].as_py()!r} is there twice")
            raise InputError(f"{where} is damaged: its column order does not sort the ids; make the source again")
