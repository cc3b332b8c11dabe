r"""A table as LaTeX that keeps to a width without being shrunk, and the macros for numbers in running text.

Widths are counted with the metrics of Computer Modern, TeX's own font. What does not fit beside each other is put
below: columns of numbers in several tabulars, each with the heads of the rows, and long texts in lines. A tabular that
would be higher than a page ends, and goes on in the next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.ft2font import FT2Font, LoadFlags

from pargo.errors import PargoError
from pargo.report.cells import MINUS, NOTHING, TIMES, Cell, Column, Row, Table

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    MINUS: r"\ensuremath{-}",
    TIMES: r"\ensuremath{\times}",
    NOTHING: "---",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")

# sizes in points, and how much wider than those of 10 points, in their own size, the letters of a design size are
SMALL, SCRIPT = 9, 7
WIDER = {9: 1.028, 7: 1.139}
# in ems, of what TeX takes from other fonts or draws
OTHERS = {
    MINUS: 0.778,
    TIMES: 0.778,
    "<": 0.778,
    ">": 0.778,
    NOTHING: 1.0,
    "\N{EN DASH}": 0.5,
    "_": 0.3,
    "|": 0.278,
    "\\": 0.5,
    "{": 0.5,
    "}": 0.5,
}
GAP = 6.0  # points between columns
SLACK = 2.0  # for what this counts otherwise than TeX
HEADS = 0.55  # most of the width that texts take where numbers stand beside them
LINE, SCRIPT_LINE, RULE = 11.0, 8.0, 6.0  # heights in points
HEIGHT = 480.0  # of a tabular
CELL = (
    r"\providecommand{\pargocell}[2]{\begin{tabular}[t]{@{}r@{}}#1\\[-2pt]{\scriptsize #2}\end{tabular}}"
    "  % a value and its interval"
)


def escape_latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def text_width(text: str, size: int = SMALL) -> float:
    """Points that a text takes in Computer Modern Roman."""
    return sum(map(_em, text)) * size * WIDER[size]


@cache
def _em(character: str) -> float:
    if character in OTHERS:
        return OTHERS[character]
    font = _font()
    # what it lacks is as wide as a wide letter
    code = ord(character) if ord(character) in font.get_charmap() else ord("M")
    return font.load_char(code, flags=LoadFlags.NO_HINTING | LoadFlags.NO_SCALE).horiAdvance / font.units_per_EM


@cache
def _font() -> FT2Font:
    return FT2Font(str(Path(mpl.get_data_path()) / "fonts/ttf/cmr10.ttf"))


def to_latex(table: Table, width: float) -> str:
    r"""Booktabs tabulars to \input; they need the packages booktabs, array and xcolor.

    Rows of one seed, and texts and columns that stand aside, are left out. Intervals stand below their value.

    Args:
        width: points that it keeps to. A single word or number that is wider than there is room is not broken.
    """
    layout = _Layout.of(table, width - SLACK)
    lines = [f"% {table.caption}", *(f"% {note}" for note in table.notes), "% needs: booktabs, array, xcolor", CELL]
    parts = [
        line
        for panel in layout.panels
        for rows in _pages(layout, panel)
        for line in (*_tabular(layout, panel, rows), r"\par\medskip")
    ]
    return (
        "\n".join([*lines, r"{\small\setlength{\tabcolsep}{3pt}\setlength{\parindent}{0pt}%", *parts[:-1], r"\par}"])
        + "\n"
    )


@dataclass(frozen=True)
class _Panel:
    """A tabular: heads of rows, and columns of numbers, that stand beside each other."""

    heads: tuple[str, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class _Layout:
    """Which columns stand beside each other, and how wide they are.

    Attributes:
        heads: by key, width of the column of texts; `wrapped` names those whose texts take several lines.
        widths: of the columns of numbers, by key.
    """

    table: Table
    heads: dict[str, float]
    wrapped: frozenset[str]
    widths: dict[str, float]
    panels: tuple[_Panel, ...]

    @classmethod
    def of(cls, table: Table, width: float) -> _Layout:
        rows = [row for row in table.rows if not row.one_seed]
        shown = [column for column in table.columns if not column.aside]
        widths = _column_widths(shown, rows)
        natural, least = {}, {}
        for key, title in table.heads.items():
            if key in table.block or key in table.aside:
                continue
            texts = [title, *(row.texts[key] for row in rows)]
            natural[key] = max(map(text_width, texts))
            least[key] = max(text_width(word) for text in texts for word in _words(text) or [""])
        room = whole = width - GAP * (len(natural) - 1)
        if widths:
            room = min(max(room * HEADS, room - _wide(widths)), room - GAP - max(widths.values()))
        apart = sum(least.values()) > room  # texts in a tabular of their own, and numbers beside the first of them
        heads = _shrunk(natural, least, whole if apart else room)
        first = tuple(heads)[: 1 if apart else None]
        left = width - sum(heads[key] for key in first) - GAP * (len(first) - 1)
        panels = [_Panel(first, columns) for columns in _panels(shown, widths, left)]
        if apart:
            panels.insert(0, _Panel(tuple(heads), ()))
        wrapped = frozenset(key for key in heads if heads[key] < natural[key])
        return cls(table, heads, wrapped, widths, tuple(panels))

    def width(self, panel: _Panel) -> float:
        """Points that a tabular takes."""
        columns = [self.heads[key] for key in panel.heads] + [self.widths[column.key] for column in panel.columns]
        return sum(columns) + GAP * (len(columns) - 1)


def _wide(widths: dict[str, float]) -> float:
    """All columns of numbers, with the gaps before them."""
    return sum(widths.values()) + GAP * len(widths)


def _panels(columns: Sequence[Column], widths: dict[str, float], room: float) -> tuple[tuple[Column, ...], ...]:
    """Columns in as few panels as they fit in, and as many in each."""
    most = len(columns)
    while most > 1:
        panels = tuple(tuple(columns[start : start + most]) for start in range(0, len(columns), most))
        if all(sum(widths[column.key] + GAP for column in panel) <= room for panel in panels):
            # the same number of panels, evenly
            even = math.ceil(len(columns) / len(panels))
            evenly = tuple(tuple(columns[start : start + even]) for start in range(0, len(columns), even))
            fits = all(sum(widths[column.key] + GAP for column in panel) <= room for panel in evenly)
            return evenly if fits else panels
        most -= 1
    return tuple((column,) for column in columns) or ((),)


def _shrunk(natural: dict[str, float], least: dict[str, float], room: float) -> dict[str, float]:
    """Widths of which the sum is at most `room` where that can be: the widest columns give way, none below its word."""
    if sum(natural.values()) <= room:
        return natural

    def limited(limit: float) -> dict[str, float]:
        return {key: min(natural[key], max(limit, least[key])) for key in natural}

    low, high = 0.0, max(natural.values())
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(limited(middle).values()) <= room else (low, middle)
    return limited(low)


def _column_widths(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, float]:
    """Widths of the columns of numbers, by key; a heading that several share makes them wider."""
    widths: dict[str, float] = {}
    for column in columns:
        cells = [row.cells[column.key] for row in rows if column.key in row.cells]
        numbers = [max(text_width(cell.text), text_width(cell.interval_text, SCRIPT)) for cell in cells]
        widths[column.key] = max([*numbers, *(text_width(word) for word in _words(column.short or column.title))])
    for group, members in groupby(columns, lambda column: column.group):
        keys = [column.key for column in members]
        short = text_width(group) - sum(widths[key] for key in keys) - GAP * (len(keys) - 1)
        widths |= {key: widths[key] + max(0.0, short) / len(keys) for key in keys}
    return widths


def _words(text: str) -> list[str]:
    """Words of a text; what is in brackets and short stays together."""
    return re.findall(r"\([^()]{1,10}\)|\S+", text)


def _wrap(text: str, width: float) -> list[str]:
    """Lines of at most a width; a longer word has a line of its own."""
    lines: list[str] = []
    for word in _words(text):
        if lines and text_width(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _pages(layout: _Layout, panel: _Panel) -> Iterator[list[Row]]:
    """The rows in runs that are no higher than a page; a block that fits on one is not torn apart."""
    page: list[Row] = []
    shown = {column.key for column in panel.columns}
    for _, block in groupby((row for row in layout.table.rows if not row.one_seed), lambda row: row.kind):
        rows = [row for row in block if not shown or row.cells.keys() & shown or not row.cells]
        if page and _height(layout, panel, [*page, *rows]) > HEIGHT:
            yield page
            page = []
        for row in rows:
            if page and _height(layout, panel, [*page, row]) > HEIGHT:
                yield page
                page = []
            page.append(row)
    if page:
        yield page


def _height(layout: _Layout, panel: _Panel, rows: Sequence[Row]) -> float:
    blocks = len({row.kind for row in rows})
    return sum(_row_height(layout, panel, row) for row in rows) + blocks * (LINE + RULE) + 4 * LINE


def _row_height(layout: _Layout, panel: _Panel, row: Row) -> float:
    texts = [LINE * len(_wrap(row.texts[key], layout.heads[key])) for key in panel.heads if key in layout.wrapped]
    cells = [row.cells[column.key] for column in panel.columns if column.key in row.cells]
    return max([LINE, *texts, *(LINE + (SCRIPT_LINE if cell.interval_text else 0) for cell in cells)])


def _tabular(layout: _Layout, panel: _Panel, rows: Sequence[Row]) -> Iterator[str]:
    table, columns = layout.table, panel.columns
    heads = [
        rf">{{\raggedright\arraybackslash}}p{{{layout.heads[key]:.1f}pt}}" if key in layout.wrapped else "l"
        for key in panel.heads
    ]
    yield rf"\begin{{tabular}}{{@{{}}{''.join(heads)}{'r' * len(columns)}@{{}}}}"
    yield r"\toprule"
    if any(column.group for column in columns):
        yield from _groups(len(heads), columns)
    titles = [escape_latex(table.heads[key]) for key in panel.heads]
    titles += [_title(column, layout.widths[column.key]) for column in columns]
    yield _row(titles)
    span = len(heads) + len(columns)
    for _, block in groupby(rows, lambda row: row.kind):
        yield r"\midrule"
        for number, row in enumerate(block):
            if table.block and not number:
                text = escape_latex(table.block_title(row))
                width = f"{layout.width(panel):.1f}pt"
                yield rf"\multicolumn{{{span}}}{{@{{}}p{{{width}}}@{{}}}}{{\raggedright\textbf{{{text}}}}} \\"
            numbers = [_cell(row.cells.get(column.key)) for column in columns]
            yield _row([*(escape_latex(row.texts[key]) for key in panel.heads), *numbers])
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _title(column: Column, width: float) -> str:
    lines = [escape_latex(line) for line in _wrap(column.short or column.title, width)]
    return lines[0] if len(lines) == 1 else r"\shortstack[r]{" + r"\\".join(lines) + "}"


def _row(texts: Sequence[str]) -> str:
    line = " & ".join(texts) + r" \\"
    return "{}" + line if line.startswith("[") else line  # a bracket would be an argument of the line break before it


def _groups(num_heads: int, columns: Sequence[Column]) -> Iterator[str]:
    cells, rules, start = [""] * num_heads, [], num_heads + 1
    for group, members in groupby(columns, lambda column: column.group):
        width = len(list(members))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(group)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    yield _row(cells)
    yield " ".join(rules)


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = escape_latex(cell.text)
    if cell.status == "published":
        return rf"\textit{{{text}}}"
    if cell.status == "unknown":
        return rf"\textcolor{{gray}}{{{text}}}"
    return text if cell.interval is None else rf"\pargocell{{{text}}}{{{escape_latex(cell.interval_text)}}}"


# Macros ---------------------------------------------------------------------------------------------------------------


def macro_name(*parts: str) -> str:
    """Letters only, as TeX wants: (`result`, `pargo`, `mini_mme`) -> `resultPargoMiniMme`; digits are spelled out."""
    words = [word for part in parts for word in re.split(r"[^A-Za-z0-9]+", part) if word]
    spelled = [re.sub(r"\d", lambda digit: DIGITS[int(digit[0])], word) for word in words]
    return spelled[0] + "".join(word[:1].upper() + word[1:] for word in spelled[1:])


def to_macros(cells: dict[tuple[str, ...], Cell], comment: str) -> str:
    r"""`\newcommand` for each cell, and `...Low`, `...High` for its interval; keys are the words of the name.

    Raises:
        PargoError: two cells would have one name.
    """
    lines: dict[str, str] = {}
    for key, cell in cells.items():
        values: dict[tuple[str, ...], str] = {(): cell.text}
        if cell.ends is not None:
            values |= {("low",): cell.ends[0], ("high",): cell.ends[1]}
        for suffix, text in values.items():
            name = macro_name(*key, *suffix)
            if name in lines:
                raise PargoError(f"two numbers would be the LaTeX macro \\{name}: rename an arm or a benchmark")
            lines[name] = rf"\newcommand{{\{name}}}{{{escape_latex(text)}}}"
    return "\n".join([f"% {comment}", *lines.values()]) + "\n"
