"""How official files are kept as a source: image files and `questions.jsonl`, the same for every benchmark.

`<source>/<split>/questions.jsonl` holds `Question` records in official order; their `image` is a path below
`<source>/<split>`, where `pargo.data.images` finds it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from pargo.benchmarks.records import Question, read_records, write_predictions
from pargo.errors import PargoError

QUESTIONS = "questions.jsonl"
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png"}


def image_extension(data: bytes, where: str) -> str:
    """`.jpg` or `.png`, from the bytes.

    Raises:
        PargoError: the bytes are no image, or one of another format; begins with `where`.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind = image.format
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise PargoError(f"{where}: not an image: {error}") from None
    if kind not in EXTENSIONS:
        raise PargoError(f"{where}: image format {kind}, expected one of {', '.join(EXTENSIONS)}")
    return EXTENSIONS[kind]


def write_source(directory: Path, questions: Iterable[Question], images: Iterable[tuple[str, bytes]]) -> None:
    """Write one split, `directory`: images (path below it, bytes) first, then the questions.

    Raises:
        PargoError: an image path that leads out of `directory`, an id twice, no question, or a question without image.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    for name, data in images:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise PargoError(f"image path {name!r} leads out of the source")
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written.add(name)
    records = list(questions)
    if missing := [question for question in records if question.image not in written]:
        raise PargoError(f"question {missing[0].id}: no image {missing[0].image!r} ({len(missing)} lack theirs)")
    write_predictions(directory / QUESTIONS, records)
    read_source(directory)


def read_source(directory: Path) -> list[Question]:
    """The questions of a split, in official order.

    Raises:
        PargoError: no such file, a line that is no question, or an id twice; names file and line.
    """
    return read_records(directory / QUESTIONS, Question)
