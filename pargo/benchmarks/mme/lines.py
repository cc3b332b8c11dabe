"""Tables as MME's tools write them: a line a question, tabs between columns, the two lines of an image adjacent."""

from __future__ import annotations

from collections.abc import Sequence

from pargo.benchmarks.formats.rows import split_lines
from pargo.errors import PargoError


def read_rows(data: bytes, where: str, columns: Sequence[str]) -> list[list[str]]:
    """The lines of a table, each split into its columns; nothing is stripped.

    Raises:
        PargoError: not UTF-8, no lines, or a line with another number of columns; begins with `where` and the line.
    """
    lines = split_lines(data, where)
    if not lines:
        raise PargoError(f"{where} is empty; expected a line a question: {', '.join(columns)}, between tabs")
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            raise PargoError(
                f"{where}:{number}: {len(row)} column(s), expected {len(columns)}: {', '.join(columns)}; a tab or a "
                "line break within one of them would look like this"
            )
    return rows


def pair_up(rows: Sequence[Sequence[str]], where: str) -> list[tuple[Sequence[str], Sequence[str]]]:
    """The rows of each image, whose name is the first column: two, one after the other.

    The official tool pairs lines by their order alone, and a file whose order is broken gets a wrong score from it.

    Raises:
        PargoError: a row whose neighbour is about another image, or an image that comes again; names the line.
    """
    first_line: dict[str, int] = {}
    pairs = []
    for index in range(0, len(rows), 2):
        image = rows[index][0]
        if image in first_line:
            raise PargoError(
                f"{where}:{index + 1}: image {image!r} again, after lines {first_line[image]} and "
                f"{first_line[image] + 1}; MME asks two questions of every image, in adjacent lines"
            )
        if index + 1 == len(rows):
            raise PargoError(
                f"{where}:{index + 1}: one question about image {image!r}, expected two in adjacent lines; "
                f"the file has an odd number of lines, {len(rows)}"
            )
        if rows[index + 1][0] != image:
            raise PargoError(
                f"{where}:{index + 2}: image {rows[index + 1][0]!r}, expected {image!r} as in line {index + 1}: "
                "MME asks two questions of every image, in adjacent lines"
            )
        first_line[image] = index + 1
        pairs.append((rows[index], rows[index + 1]))
    return pairs
