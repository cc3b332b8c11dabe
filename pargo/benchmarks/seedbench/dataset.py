"""SEED-Bench v1's official files: `SEED-Bench.json` with `SEED-Bench-image/`, or the hub's parquet tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pargo.benchmarks.formats.official import open_files
from pargo.benchmarks.formats.parquet import hub_image, parquet_rows
from pargo.benchmarks.formats.rows import Row
from pargo.benchmarks.questions import UniqueImages, read_source, write_source
from pargo.benchmarks.records import Question
from pargo.benchmarks.seedbench.annotations import Collection, parse_json
from pargo.config.benchmarks.seedbench import SEEDBench
from pargo.data.image_names import BENCHMARK
from pargo.errors import PargoError

OFFICIAL_NAME = "SEED-Bench.json"
NUM_QUESTIONS = 14_232
COLUMNS = (  # of the hub
    "question_id",
    "image",
    "data_type",
    "data_id",
    "question",
    "choice_a",
    "choice_b",
    "choice_c",
    "choice_d",
    "answer",
    "question_type_id",
)
# images are named by `data_id`, which has the extension of some alone
EXTENSIONS = ("", *BENCHMARK, *(extension.upper() for extension in BENCHMARK))
# The hub's tables have no names of dimensions. These are those of the official JSON; an older version of it had the
# names of 3 and 4 the other way round, so a JSON that comes with the tables goes before.
HUB_DIMENSIONS = {
    "1": "Scene Understanding",
    "2": "Instance Identity",
    "3": "Instance Attributes",
    "4": "Instance Location",
    "5": "Instances Counting",
    "6": "Spatial Relation",
    "7": "Instance Interaction",
    "8": "Visual Reasoning",
    "9": "Text Understanding",
}


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Fill a source's split from official files.

    Args:
        paths: files, folders or zips that together hold either `SEED-Bench.json` and the images, named by `data_id`
            with or without extension, or the hub's parquet tables. With a JSON beside them, the tables' dimensions
            have its names, and else those of `HUB_DIMENSIONS`.
        directory: folder to fill.

    Raises:
        PargoError: no questions, several JSON files, a broken file, or an image that is missing or ambiguous.
    """
    with open_files(paths) as files:
        tables, jsons = files.with_suffix(".parquet"), files.with_suffix(".json")
        if len(jsons) > 1:
            jsons = [entry for entry in jsons if PurePosixPath(entry.name).name == OFFICIAL_NAME] or jsons
        if len(jsons) > 1 or not (jsons or tables):
            raise PargoError(
                f"{len(jsons)} JSON files in {files.where}, expected one {OFFICIAL_NAME}, or parquet tables"
            )
        rows, names = parse_json(jsons[0].read(), jsons[0].where) if jsons else ([], HUB_DIMENSIONS)

        def read(row: Row) -> bytes:
            if tables:
                return hub_image(row).data
            return files.find([row.identifier("data_id") + extension for extension in EXTENSIONS], row.where)

        source: Iterable[Row] = (row for table in tables for row in parquet_rows(table, COLUMNS)) if tables else rows
        questions: list[Question] = []  # complete when the images are written
        write_source(directory, questions, _images(source, names, read, questions, files.where))
        if not jsons:
            _check_dimensions(questions, files.where)


def _check_dimensions(questions: Sequence[Question], where: str) -> None:
    """In the whole benchmark far more questions are about attributes than about locations [published]."""
    counts = Counter(question.task for question in questions)
    attributes, location = counts["Instance Attributes"], counts["Instance Location"]
    if len(questions) == NUM_QUESTIONS and attributes < location:
        raise PargoError(
            f"{where}: {attributes:,} questions of dimension 3 and {location:,} of 4, so 3 is not attributes: tables "
            f"count dimensions as an older version does; put {OFFICIAL_NAME} beside them"
        )


def _images(
    rows: Iterable[Row],
    names: Mapping[str, str],
    read: Callable[[Row], bytes],
    questions: list[Question],
    where: str,
) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each image, once, as `write_source` takes them; fills `questions` at the end."""
    found, images = Collection(), UniqueImages()
    for row in rows:
        question = found.add(row, names)
        if question is not None:
            yield from images.add(question.image, read(row), row.where)
    questions += [item.model_copy(update={"image": images.paths[item.image]}) for item in found.finish(where).questions]


def read_questions(source: Path, benchmark: SEEDBench) -> list[Question]:
    """All questions of `<source>/<split>`, in official order; see `read_source`."""
    return read_source(source / benchmark.split)
