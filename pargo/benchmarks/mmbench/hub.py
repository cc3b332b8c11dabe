"""MMBench as the hub has it: parquet files with the columns of the official tables."""

from __future__ import annotations

from collections.abc import Sequence

from pargo.benchmarks.formats.official import Entry
from pargo.benchmarks.formats.parquet import hub_image, parquet_rows
from pargo.benchmarks.formats.rows import Row
from pargo.benchmarks.mmbench.tables import cell_text, check_columns
from pargo.errors import PargoError


def read_hub(table: Entry, required: Sequence[str]) -> list[Row]:
    """The rows of a parquet file, of which the image is bytes; a missing text may be null or `nan` there.

    Raises:
        PargoError: not a readable parquet file, a required column that is missing, a column twice, or no rows.
    """
    rows = []
    for where, record in parquet_rows(table):
        found = dict(zip(check_columns(record, required, table.where), record.values(), strict=True))
        cells: dict[str, str | bytes] = {
            name: cell_text(value) for name, value in found.items() if not isinstance(value, dict | bytes)
        }
        if not isinstance(found["image"], str):
            cells["image"] = hub_image(Row(where, found)).data
        rows.append(Row(where, cells))
    if not rows:
        raise PargoError(f"{table.where} has no rows")
    return rows
