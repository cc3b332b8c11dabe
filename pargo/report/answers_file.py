"""`answers/<benchmark>.jsonl`: each question with the answers of all arms and seeds; read without the predictions.

It is in git, so that a clone has the answers behind every score.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from pargo.config.base import Settings
from pargo.errors import PargoError


class Answer(NamedTuple):
    """What a model said, and its mark: 1 right, 0 wrong, a judge's grade between; None where nobody graded it."""

    text: str
    mark: float | None


class Asked(Settings):
    """A question with its answers: by arm, then by seed as text."""

    id: str
    task: str
    image: str
    question: str
    label: str
    options: dict[str, str] = Field(default_factory=dict)
    answers: dict[str, dict[str, Answer]]


_LINE: TypeAdapter[Asked] = TypeAdapter(Asked)


def write_answers(path: Path, rows: list[Asked]) -> None:
    """One JSON object a line, in the order given."""
    lines = [row.model_dump_json(exclude_defaults=True) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_answers(path: Path) -> list[Asked]:
    """The questions of a file, in its order.

    Raises:
        PargoError: no file, or a line that is no such record; names file and line.
    """
    try:
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        raise PargoError(f"cannot read answers {path}: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_LINE.validate_json(line, strict=False))
        except ValidationError as error:
            first = error.errors()[0]
            raise PargoError(f"{path}:{number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return rows
