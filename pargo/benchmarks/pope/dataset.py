"""POPE's official files: `coco_pope_<split>.json` with the images of COCO, or the hub's parquet tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pargo.benchmarks.formats.official import Entry, open_files
from pargo.benchmarks.formats.parquet import hub_image, parquet_rows
from pargo.benchmarks.formats.rows import Row, json_lines, shorten
from pargo.benchmarks.pope.splits import SPLITS, SUFFIXES, label_of, split_of
from pargo.benchmarks.questions import UniqueImages, read_source, write_source
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.pope import POPE
from pargo.data.image_names import BENCHMARK, is_image_name
from pargo.errors import PargoError

COLUMNS = ("question_id", "image", "question", "answer", "image_source", "category")  # of the hub


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Fill a source's split from official files.

    Args:
        paths: files, folders or zips that together hold either label files (JSON Lines, named after their split) and
            their images, or the hub's parquet tables.
        directory: folder to fill.

    Raises:
        PargoError: no questions, two files of one split, an id twice in a split, a broken file, or an image that is
            missing or ambiguous.
    """
    with open_files(paths) as files:
        tables = files.with_suffix(".parquet")
        labels = [entry for entry in files.with_suffix(*SUFFIXES) if split_of(PurePosixPath(entry.name).name)]
        if not tables and not labels:
            raise PargoError(f"no parquet, and no JSON named after {', '.join(SPLITS)}, in {files.where}")
        rows = _hub_rows(tables) if tables else _label_rows(labels)

        def read(row: Row) -> bytes:
            if tables:
                return hub_image(row).data
            name = row.text("image")
            return files.find([name], f"{row.where}: image {name!r}")

        questions: list[Question] = []  # complete when the images are written
        write_source(directory, questions, _images(rows, read, questions))


def _label_rows(entries: Sequence[Entry]) -> Iterator[tuple[Question, Row]]:
    first: dict[str, Entry] = {}
    for entry in entries:
        split = split_of(PurePosixPath(entry.name).name)
        if split in first:
            raise PargoError(
                f"{entry.where}: {first[split].where} is of split {split} as well, expected one file a split"
            )
        first[split] = entry
        for row in json_lines(entry.read(), entry.where):
            image = PurePosixPath(row.text("image"))
            stem = str(image.with_suffix("") if is_image_name(image, BENCHMARK) else image)
            yield _question(row, split, stem, row.text("text"), label_of(row, "label")), row


def _hub_rows(entries: Sequence[Entry]) -> Iterator[tuple[Question, Row]]:
    for entry in entries:
        for row in parquet_rows(entry, COLUMNS):
            split = row.text("category")
            if split not in SPLITS:
                raise PargoError(f"{row.where}: `category` is {shorten(split)}, expected {', '.join(SPLITS)}")
            image = row.text("image_source")
            yield _question(row, split, image, row.text("question"), label_of(row, "answer")), row


def _question(row: Row, split: str, image: str, text: str, label: str) -> Question:
    number = row.identifier("question_id")
    if not image or not image.isprintable() or len(image) > 200 or "/" in image or "\\" in image:
        raise PargoError(f"{row.where}: image {shorten(image)}, expected the name of an image")
    return Question(
        id=f"{split}/{number}",
        task=split,
        image=image,
        question=text,
        label=label,
        details={"question_id": number},
    )


def _images(
    rows: Iterable[tuple[Question, Row]], read: Callable[[Row], bytes], questions: list[Question]
) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each image, once, as `write_source` takes them; fills `questions` at the end, by split."""
    found: dict[str, Question] = {}
    places: dict[str, str] = {}
    images = UniqueImages()
    for question, row in rows:
        if question.id in found:
            raise PargoError(f"{row.where}: question {question.id!r} again, the first is in {places[question.id]}")
        yield from images.add(question.image, read(row), row.where)
        found[question.id] = question.model_copy(update={"image": images.paths[question.image]})
        places[question.id] = row.where
    questions += sorted(found.values(), key=lambda item: SPLITS.index(item.task))  # stable


def read_questions(source: Path, benchmark: POPE) -> list[Question]:
    """All questions of `<source>/<split>`, in official order within random, popular, adversarial; see `read_source`."""
    return read_source(source / benchmark.split)
