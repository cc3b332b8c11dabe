"""A few questions with their images and all arms' answers, right and wrong, for a reader to judge by eye."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pargo.benchmarks.records import PREDICTIONS, Prediction, read_predictions
from pargo.data.images import open_images
from pargo.manifest import verify
from pargo.report import words
from pargo.report.measure import is_graded
from pargo.report.provenance import follow
from pargo.report.scores import Score, Scores
from pargo.report.settings import ReportSettings

COUNT = 3  # of each kind, per benchmark
HALF = 0.5  # a grade above counts as right
SIZE = 128  # pixels of a thumbnail


@dataclass(frozen=True)
class Answer:
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
    answers: tuple[Answer, ...]


def samples(settings: ReportSettings, scores: Scores) -> list[Sample]:
    """For each benchmark some questions that the headline arm answers right, and some that it does not.

    They are the first of the file, a task after the other, so they are picked by a rule and not by hand.
    """
    first = settings.report.headline_arm
    arms = [first, *(arm for arm in settings.projectors if arm != first)]
    return [sample for benchmark in settings.benchmarks for sample in _samples(settings, scores, benchmark, arms)]


def _samples(settings: ReportSettings, scores: Scores, benchmark: str, arms: list[str]) -> Iterable[Sample]:
    names = words.projectors(settings)
    by_arm = {arm: scores[arm, benchmark][0] for arm in arms}
    if not is_graded(list(by_arm.values())):
        return
    answers = {arm: _answers(score) for arm, score in by_arm.items()}
    chosen = settings.benchmarks[benchmark]
    images = open_images(follow(by_arm[arms[0]].path).source().directory, chosen.split)
    ours = answers[arms[0]]
    tasks = list(dict.fromkeys(prediction.task for prediction, _ in ours.values()))
    for wanted, order in ((True, tasks), (False, tasks[::-1])):
        for key in choose(ours, wanted, order):
            prediction = ours[key][0]
            yield Sample(
                benchmark=words.benchmark(settings, benchmark),
                task=words.task(prediction.task),
                question=prediction.question,
                label=prediction.label,
                image=data_uri(images.load(prediction.image)),
                answers=tuple(_shown(names[arm], *answers[arm][key]) for arm in arms),
            )


def _shown(arm: str, prediction: Prediction, right: bool) -> Answer:
    """Where options were ranked there is no text, but a choice."""
    return Answer(arm, prediction.answer or prediction.parsed, right)


def _answers(score: Score) -> dict[str, tuple[Prediction, bool]]:
    """Each question's prediction, and whether the score counts it as right."""
    directory = follow(score.path).predictions().directory
    verify(directory)  # the chain holds for manifests; the answers shown must be those that were scored
    record = score.record
    marks = {(task, image): iter(values) for task, images in record.correct.items() for image, values in images.items()}

    def is_right(prediction: Prediction) -> bool:
        if record.correct:
            return next(marks[prediction.task, prediction.image]) > HALF
        # a caption, which is asked once of an image: it says all that is there, and nothing else, of any kind
        return all(one == other for one, other in (images[prediction.image] for images in record.values.values()))

    return {
        prediction.id: (prediction, is_right(prediction)) for prediction in read_predictions(directory / PREDICTIONS)
    }


def choose(answers: dict[str, tuple[Prediction, bool]], wanted: bool, tasks: list[str]) -> list[str]:
    """Ids of up to `COUNT` right (or wrong) answers: the first of each task in turn, an image only once."""
    chosen: dict[str, str] = {}
    while len(chosen) < COUNT:
        before = len(chosen)
        for task in tasks:
            for key, (prediction, right) in answers.items():
                if prediction.task == task and right == wanted and prediction.image not in chosen:
                    chosen[prediction.image] = key
                    break
            if len(chosen) == COUNT:
                break
        if len(chosen) == before:
            break
    return list(chosen.values())


def data_uri(image: Image.Image) -> str:
    """A PNG thumbnail of at most `SIZE` pixels, as a data URI."""
    image = image.copy()
    image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def file_uri(path: Path) -> str:
    """A figure as a data URI."""
    kind = {".svg": "image/svg+xml", ".png": "image/png"}[path.suffix]
    return f"data:{kind};base64," + base64.b64encode(path.read_bytes()).decode()
