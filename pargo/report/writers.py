"""A table as csv (raw values) and as Markdown; LaTeX is in `latex.py`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from pargo.report.cells import Cell, Table


def escape_markdown(text: str) -> str:
    r"""Text of a Markdown table cell: no character of it is markup, and `|` or a new line does not end the cell."""
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", text).replace("\n", " ")


def to_csv(table: Table) -> str:
    """Raw values in base units; beside each number the ends of its interval, empty where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    keys = [column.key for column in table.columns]
    ends = {key for key in keys if any(key in row.cells and row.cells[key].interval for row in table.rows)}
    header = [name for key in keys for name in ((key, f"{key}_low", f"{key}_high") if key in ends else (key,))]
    # one status a row, unless the table has it as a column of its own
    status = ["status"] if "status" not in table.heads else []
    writer.writerow(["row", "kind", *table.heads, *header, *status])
    for row in table.rows:
        values: list[object] = []
        for key in keys:
            cell = row.cells.get(key)
            values.append("" if cell is None or cell.value is None else cell.value)
            if key in ends:
                values += cell.interval if cell is not None and cell.interval else ("", "")
        statuses = [_status(row.cells.values())] if status else []
        writer.writerow([row.key, row.kind, *row.texts.values(), *values, *statuses])
    return stream.getvalue()


def _status(cells: Iterable[Cell]) -> str:
    """Statuses in a row; a row with measured numbers may hold computed ones (token counts) as well."""
    return "+".join(dict.fromkeys(cell.status for cell in sorted(cells, key=lambda cell: cell.status)))


def to_markdown(table: Table) -> str:
    """A table with its notes. Texts that are the same in a block of rows stand above it, in a row of their own."""
    heads = {key: title for key, title in table.heads.items() if key not in table.block}
    header = [*heads.values(), *(column.title for column in table.columns)]
    align = [":---"] * len(heads) + ["---:"] * len(table.columns)
    lines = [_markdown_row([escape_markdown(text) for text in header]), _markdown_row(align)]
    previous = None
    for row in table.rows:
        if table.block and row.kind != previous:
            title = escape_markdown(table.block_title(row))
            lines.append(_markdown_row([f"**{title}**", *[""] * (len(header) - 1)]))
        previous = row.kind
        numbers = [_markdown_cell(row.cells.get(column.key)) for column in table.columns]
        lines.append(_markdown_row([*(escape_markdown(row.texts[key]) for key in heads), *numbers]))
    notes = [escape_markdown(note) for note in table.notes]
    return "\n\n".join([escape_markdown(table.caption), "\n".join(lines), *notes]) + "\n"


def _markdown_row(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = escape_markdown(cell.text)
    if cell.status == "published":
        return f"*{text}*"
    if cell.interval is None:
        return text
    return f"{text}<br><sub>{escape_markdown(cell.interval_text)}</sub>"
