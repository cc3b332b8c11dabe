"""How official files are kept as a source: image files and `questions.jsonl`, the same for every benchmark.

`<source>/<split>/questions.jsonl` holds `Question` records in official order; their `image` is a path below
`<source>/<split>`, where `pargo.data.images` finds it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pargo.benchmarks.records import Question, read_records, write_predictions
from pargo.data.image_names import BENCHMARK, EXTENSION
from pargo.data.rgb import FORMATS, UNREADABLE, as_rgb
from pargo.errors import PargoError
from pargo.fetch.names import leads_out

QUESTIONS = "questions.jsonl"


def check_image(data: bytes, where: str) -> str:
    """The format of an image, which is decoded as it will be for features.

    Raises:
        PargoError: the bytes are no image, or one that `pargo.data.rgb` refuses; names `where`.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise PargoError(f"{where}: not an image: unknown format") from None
    except UNREADABLE as error:
        raise PargoError(f"{where}: not an image: {error}") from None
    with image:
        as_rgb(image, where)
        return image.format or ""


def image_extension(data: bytes, where: str) -> str:
    """`.jpg` or `.png`, from the bytes.

    Raises:
        PargoError: the bytes are no image (`check_image`), or one of another format; names `where`.
    """
    extension = EXTENSION[kind := check_image(data, where)]
    if extension not in BENCHMARK:
        raise PargoError(f"{where}: image format {kind}, expected one of JPEG, PNG")
    return extension


class UniqueImages:
    """Images by name, each written once, to `images/<name>.<extension of its bytes>`."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self._digests: dict[str, bytes] = {}

    def add(self, name: str, data: bytes, where: str) -> list[tuple[str, bytes]]:
        """Path and bytes to write: one image, or none where it is there already.

        Raises:
            PargoError: the bytes are no image, or the name had others; begins with `where`.
        """
        digest = hashlib.sha256(data).digest()
        if self._digests.setdefault(name, digest) != digest:
            raise PargoError(f"{where}: image {name!r} is other than in an earlier row")
        if name in self.paths:
            return []
        self.paths[name] = f"images/{name}{image_extension(data, f'{where}: image {name!r}')}"
        return [(self.paths[name], data)]


def write_source(directory: Path, questions: Iterable[Question], images: Iterable[tuple[str, bytes]]) -> None:
    """Write one split, `directory`: images (path below it, bytes) first, then the questions.

    Raises:
        PargoError: an image path that leads out of `directory`, an id twice, no question, or a question without image.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    for name, data in images:
        if leads_out(name):
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
