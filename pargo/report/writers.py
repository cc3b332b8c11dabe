r"""A table as csv (raw values), Markdown and LaTeX, and the macros for numbers in running text.

The three looks: published numbers are italic, measured ones upright with their interval, unknown ones a grey dash.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from pargo.errors import PargoError
from pargo.report.cells import MINUS, NOTHING, Cell, Table

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
    NOTHING: "---",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def escape_latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


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
    header = [*table.heads.values(), *(column.title for column in table.columns)]
    align = [":---"] * len(table.heads) + ["---:"] * len(table.columns)
    lines = [_markdown_row([escape_markdown(text) for text in header]), _markdown_row(align)]
    for row in table.rows:
        numbers = [_markdown_cell(row.cells.get(column.key)) for column in table.columns]
        lines.append(_markdown_row([*(escape_markdown(text) for text in row.texts.values()), *numbers]))
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


def to_latex(table: Table) -> str:
    """A booktabs tabular to \\input; it needs the packages booktabs and xcolor. Intervals stand below their value."""
    heads = [key for key in table.heads if key != table.block]
    width = len(heads) + len(table.columns)
    groups = any(column.group for column in table.columns)
    titles = [table.heads[key] for key in heads]
    titles += [(column.short or column.title) if groups else column.title for column in table.columns]
    lines = [
        f"% {table.caption}",
        *(f"% {note}" for note in table.notes),
        "% needs: booktabs, xcolor",
        rf"\begin{{tabular}}{{{'l' * len(heads)}{'r' * len(table.columns)}}}",
        r"\toprule",
        *(_latex_groups(len(heads), table) if groups else []),
        _latex_row([escape_latex(title) for title in titles]),
    ]
    previous = None
    for row in table.rows:
        if row.kind != previous:
            lines.append(r"\midrule")
            if table.block:
                lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{escape_latex(row.texts[table.block])}}}}} \\")
            previous = row.kind
        numbers = [_latex_cell(row.cells.get(column.key)) for column in table.columns]
        lines.append(_latex_row([*(escape_latex(row.texts[key]) for key in heads), *numbers]))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_row(texts: list[str]) -> str:
    line = " & ".join(texts) + r" \\"
    return "{}" + line if line.startswith("[") else line  # a bracket would be an argument of the line break before it


def _latex_groups(num_heads: int, table: Table) -> list[str]:
    cells, rules, start = [""] * num_heads, [], num_heads + 1
    runs: list[list] = []
    for column in table.columns:
        if runs and runs[-1][0] == column.group:
            runs[-1][1] += 1
        else:
            runs.append([column.group, 1])
    for group, width in runs:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(group)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [_latex_row(cells), " ".join(rules)]


def _latex_cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = escape_latex(cell.text)
    if cell.status == "published":
        return rf"\textit{{{text}}}"
    if cell.status == "unknown":
        return rf"\textcolor{{gray}}{{{text}}}"
    if cell.interval is None:
        return text
    return rf"\shortstack[r]{{{text}\\{{\scriptsize {escape_latex(cell.interval_text)}}}}}"


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
        if cell.interval is not None:
            values |= {("low",): cell.write(cell.interval[0]), ("high",): cell.write(cell.interval[1])}
        for suffix, text in values.items():
            name = macro_name(*key, *suffix)
            if name in lines:
                raise PargoError(f"two numbers would be the LaTeX macro \\{name}: rename an arm or a benchmark")
            lines[name] = rf"\newcommand{{\{name}}}{{{escape_latex(text)}}}"
    return "\n".join([f"% {comment}", *lines.values()]) + "\n"
