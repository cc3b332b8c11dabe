"""Questions with their images and all answers: a few for every reader, and all of them for the page's own search."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pargo.data.images import ImageSet
from pargo.report import words
from pargo.report.answers_file import Answer, Asked
from pargo.report.settings import ReportSettings

COUNT = 3  # of each kind, per benchmark
HALF = 0.5  # a grade above counts as right
SIZE = 128  # pixels of a thumbnail
MAX_IMAGES = 600  # of a benchmark, whose thumbnails are in the page
MAX_QUESTIONS = 5000  # of a benchmark, that are in the page


@dataclass(frozen=True)
class Shown:
    arm: str
    text: str
    right: bool


@dataclass(frozen=True)
class Sample:
    """One question; `image` is a data URI, `answers` those of all arms with the first seed, headline arm first."""

    benchmark: str
    task: str
    question: str
    label: str
    image: str
    answers: tuple[Shown, ...]


def samples(settings: ReportSettings, benchmark: str, rows: Sequence[Asked], images: ImageSet) -> Iterable[Sample]:
    """Some questions that the headline arm answers right, and some that it does not; none where any is not graded.

    They are the first of the file, a task after the other, so they are picked by a rule and not by hand.
    """
    names, seed, ours = words.projectors(settings), str(settings.seeds[0]), settings.report.headline_arm
    if any(answer[seed].mark is None for row in rows for answer in row.answers.values()):
        return
    tasks = list(dict.fromkeys(row.task for row in rows))
    for wanted, order in ((True, tasks), (False, tasks[::-1])):
        right = [row for row in rows if is_right(row.answers[ours][seed]) == wanted]
        for row in choose(right, order):
            yield Sample(
                benchmark=words.benchmark(settings, benchmark),
                task=words.task(row.task),
                question=row.question,
                label=row.label,
                image=data_uri(images.load(row.image)),
                answers=tuple(
                    Shown(names[arm], row.answers[arm][seed].text, is_right(row.answers[arm][seed]))
                    for arm in settings.projectors
                ),
            )


def is_right(answer: Answer) -> bool:
    return answer.mark is not None and answer.mark > HALF


def choose(rows: Sequence[Asked], tasks: Sequence[str]) -> list[Asked]:
    """Up to `COUNT` questions: the first of each task in turn, an image only once."""
    chosen: dict[str, Asked] = {}
    while len(chosen) < COUNT:
        before = len(chosen)
        for task in tasks:
            for row in rows:
                if row.task == task and row.image not in chosen:
                    chosen[row.image] = row
                    break
            if len(chosen) == COUNT:
                break
        if len(chosen) == before:
            break
    return list(chosen.values())


def searchable(settings: ReportSettings, benchmark: str, rows: Sequence[Asked], images: ImageSet) -> dict[str, Any]:
    """What the page's search knows of a benchmark: JSON with questions and answers, and thumbnails where they are few.

    `rows` hold id, task, image, question, right answer, and by arm and seed answer and mark, in the report's order.
    """
    shown = rows[:MAX_QUESTIONS]
    used = list(dict.fromkeys(row.image for row in shown))
    places = {image: place for place, image in enumerate(used)}
    few = len(used) <= MAX_IMAGES
    return {
        "title": words.benchmark(settings, benchmark),
        "all": len(rows),
        "tasks": {task: words.task(task) for task in dict.fromkeys(row.task for row in shown)},
        "images": used,
        "thumbnails": [data_uri(images.load(image), "WEBP") for image in used] if few else [],
        "rows": [
            [
                row.id,
                row.task,
                places[row.image],
                _with_options(row),
                row.label,
                [_answers(row.answers[arm], settings.seeds) for arm in settings.projectors],
            ]
            for row in shown
        ],
    }


def _with_options(row: Asked) -> str:
    return "\n".join([row.question, *(f"{letter}. {text}" for letter, text in row.options.items())])


def _answers(answers: Mapping[str, Answer], seeds: Sequence[int]) -> list[list[Any]]:
    return [list(answers[str(seed)]) for seed in seeds]


def data_uri(image: Image.Image, kind: str = "PNG") -> str:
    """A thumbnail of at most `SIZE` pixels, as a data URI; PNG, or WEBP, which is smaller and not exact."""
    image = image.copy()
    image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, kind, **({"optimize": True} if kind == "PNG" else {"quality": 60, "method": 4}))
    return f"data:image/{kind.lower()};base64," + base64.b64encode(stream.getvalue()).decode()


def file_uri(path: Path) -> str:
    """A figure as a data URI."""
    kind = {".svg": "image/svg+xml", ".png": "image/png"}[path.suffix]
    return f"data:{kind};base64," + base64.b64encode(path.read_bytes()).decode()
