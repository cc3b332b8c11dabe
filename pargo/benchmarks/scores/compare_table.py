"""A comparison of two runs for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pargo.benchmarks.scores.compare import Comparison, Row

HEADS = ("A", "B", "A-B", "95 % interval", "p", "p Holm", "McNemar p", "Images", "Questions")
TABLE_WIDTH = 96  # columns, below which numbers would be broken


def render(comparison: Comparison, width: int = 120) -> str:
    """The comparison as plain text of at most `width` columns: a table, or without room for it a paragraph a row."""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None)
    cells = [_cells(row) for row in comparison.rows]
    rows: list[Text | Table] = [_table(cells)] if width >= TABLE_WIDTH else [_paragraph(row) for row in cells]
    rest = "McNemar: exact, on right and wrong answers, not corrected."
    how = f"paired bootstrap by image, {comparison.samples:,} draws"
    how += "" if min(comparison.seeds_a, comparison.seeds_b) == 1 else ", and the spread between seeds"
    # Text throughout, since a name in brackets would be read as a style
    for part in (
        Text(f"A: {comparison.run_a}"),
        Text(f"B: {comparison.run_b}"),
        *rows,
        Text(f"Interval: 95 %, {how}; p: two-sided, from the same."),
        Text(f"p Holm: corrected for all comparisons above. {rest}"),
        *map(Text, comparison.notes),
        *(Text(f"Only in A: {name}") for name in comparison.only_a),
        *(Text(f"Only in B: {name}") for name in comparison.only_b),
    ):
        console.print(part, overflow="fold")
    return text.getvalue()


def _table(rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("Score", overflow="fold")
    for head in HEADS:
        table.add_column(head, justify="right", overflow="fold")
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _paragraph(cells: Sequence[str]) -> Text:
    pairs = zip(HEADS, cells[1:], strict=True)
    return Text(f"\n{cells[0]}: {'; '.join(f'{head} {cell}' for head, cell in pairs if cell)}\n")


def _cells(row: Row) -> list[str]:
    counts = [f"{row.num_images:,}", f"{row.num_questions:,}"]
    if row.value_a is None or row.value_b is None or row.difference is None or row.interval is None:
        return [row.label, *["not graded"] * 3, *[""] * 4, *counts]
    digits = 4 if row.maximum <= 1 else 2
    low, high = (f"{value:+.{digits}f}" for value in row.interval)
    return [
        row.label,
        f"{row.value_a:.{digits}f}",
        f"{row.value_b:.{digits}f}",
        f"{row.difference:+.{digits}f}",
        f"{low} to {high}",
        _p(row.p),
        _p(row.p_holm),
        _p(row.mcnemar.p if row.mcnemar else None),
        *counts,
    ]


def _p(value: float | None) -> str:
    return "" if value is None else "<0.0001" if value < 0.0001 else f"{value:.4f}"
