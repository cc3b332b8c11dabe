"""An image and its two questions, and the checks that all forms of MME's files share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from pargo.benchmarks.formats.rows import split_lines
from pargo.data.image_names import BENCHMARK, is_image_name
from pargo.errors import PargoError

LABELS = ("Yes", "No")  # always in this order in the official data
MAX_NAME_BYTES = 200  # file systems take 255


class Pair(NamedTuple):
    """An image, by its file name and bytes, and its questions: the one with answer Yes, the one with No.

    `where` is what an error calls it.
    """

    task: str
    image: str
    data: bytes
    questions: tuple[str, str]
    where: str


def check_pair(rows: Sequence[tuple[str, str, str]]) -> tuple[str, str]:
    """The questions of two rows (where, question, label), stripped.

    Raises:
        PargoError: not two rows, an empty question, or labels other than Yes, then No.
    """
    if len(rows) != len(LABELS):
        raise PargoError(f"{rows[0][0]}: {len(rows)} question(s) about one image, expected 2")
    questions = []
    for (where, question, label), expected in zip(rows, LABELS, strict=True):
        if not question.strip():
            raise PargoError(f"{where}: empty question")
        if label.strip() != expected:
            raise PargoError(
                f"{where}: answer {label.strip()!r}, expected {expected!r}: the first of an image is Yes, the second No"
            )
        questions.append(question.strip())
    return questions[0], questions[1]


def parse_text(data: bytes, where: str) -> tuple[str, str]:
    """The questions of an image's text, two lines `question TAB Yes` and `question TAB No`.

    Raises:
        PargoError: not UTF-8, other lines or answers; begins with `where` and the line.
    """
    lines = split_lines(data, where)
    if len(lines) != len(LABELS):
        raise PargoError(f"{where}: {len(lines)} line(s), expected 2: `question TAB Yes` and `question TAB No`")
    rows = []
    for number, line in enumerate(lines, start=1):
        parts = line.split("\t")
        if len(parts) != 2:
            raise PargoError(f"{where}:{number}: {len(parts) - 1} tab(s), expected one, between question and answer")
        rows.append((f"{where}:{number}", parts[0], parts[1]))
    return check_pair(rows)


def match_texts(names: Iterable[str], folder: str) -> list[tuple[str, str]]:
    """File names of a task's images and texts as pairs (image, text) of one stem, by name.

    Raises:
        PargoError: a name that is neither of both or no plain file name, a stem twice, or an image or a text alone.
    """
    images: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        known = images if is_image_name(path, BENCHMARK) else texts if path.suffix == ".txt" else None
        if known is None or path.name != name:
            raise PargoError(f"{folder}/{name}: neither an image ({', '.join(BENCHMARK)}) nor a .txt of questions")
        if not name.isprintable() or "\\" in name or len(name.encode()) > MAX_NAME_BYTES:
            raise PargoError(f"{folder}: {name!r} is no plain file name of at most {MAX_NAME_BYTES} bytes")
        if path.stem in known:
            raise PargoError(f"{folder}/{name}: {known[path.stem]} has the same name, so its questions are ambiguous")
        known[path.stem] = name
    if not texts:
        raise PargoError(f"{folder} holds no questions")
    for stem in sorted(images.keys() | texts.keys()):
        if stem not in images:
            raise PargoError(f"{folder}/{texts[stem]}: no image of this name beside it")
        if stem not in texts:
            raise PargoError(f"{folder}/{images[stem]}: no {stem}.txt with its questions beside it")
    return [(images[stem], text) for stem, text in texts.items()]
