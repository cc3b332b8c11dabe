"""Stage `report_answers`: the answers of all models to each benchmark, question by question, with their marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pargo.benchmarks.records import PREDICTIONS, Prediction, read_predictions
from pargo.errors import PargoError
from pargo.files import new_files, sha256_file
from pargo.layout import manifest_path
from pargo.manifest import verify
from pargo.report.answers_file import Answer, Asked, write_answers
from pargo.report.scores import Score, Scores
from pargo.report.settings import ReportSettings


def run(settings: ReportSettings, scores: Iterable[Path], predictions: Iterable[Path], output: Path) -> None:
    """Write `<benchmark>.jsonl` for each benchmark into a directory; others in it stay.

    Args:
        scores: score files of all arms, seeds and benchmarks.
        predictions: the answers that they are of, `.../<arm>/seed-<n>/<benchmark>`.
        output: directory of the files, e.g. `reports/quick/answers`.

    Raises:
        PargoError: a score or its answers are missing, the answers are not those that were scored, or two models were
            asked other questions.
    """
    loaded = Scores(settings, scores)
    places = {manifest_path(path).as_posix(): path for path in predictions}
    with new_files(output) as directory:
        for benchmark in settings.benchmarks:
            rows: dict[str, Asked] = {}
            for arm in settings.projectors:
                for score in loaded[arm, benchmark]:
                    _add(rows, score, _scored(score, places))
            write_answers(directory / f"{benchmark}.jsonl", list(rows.values()))


def _scored(score: Score, places: dict[str, Path]) -> Path:
    """The directory of the answers that a score is of."""
    for name, sha256 in score.record.inputs.items():
        if name in places:
            if sha256_file(Path(name)) != sha256:
                raise PargoError(
                    f"{score.path} was made from {name} with sha256 {sha256[:12]}, which changed: run it again"
                )
            verify(places[name])  # the manifest may be right, and the file behind it edited
            return places[name]
    raise PargoError(f"{score.path}: its answers are not among those given: {', '.join(score.record.inputs) or 'none'}")


def _add(rows: dict[str, Asked], score: Score, directory: Path) -> None:
    found = list(marked(score, read_predictions(directory / PREDICTIONS)))
    if rows and rows.keys() != {prediction.id for prediction, _ in found}:
        raise PargoError(f"{directory}: answers to other questions than those of the arms before it")
    for prediction, mark in found:
        row = rows.setdefault(
            prediction.id,
            Asked(
                id=prediction.id,
                task=prediction.task,
                image=prediction.image,
                question=prediction.question,
                label=prediction.label,
                options=prediction.options,
                answers={},
            ),
        )
        # where options were ranked there is no text, but a choice
        answer = Answer(prediction.parsed if prediction.option_losses else prediction.answer, mark)
        row.answers.setdefault(score.arm, {})[str(score.seed)] = answer


def marked(score: Score, predictions: Iterable[Prediction]) -> Iterator[tuple[Prediction, float | None]]:
    """Each answer with the mark that the score gives it."""
    record = score.record
    marks = {(task, image): iter(values) for task, images in record.correct.items() for image, values in images.items()}
    for prediction in predictions:
        if not record.is_graded:
            yield prediction, None
        elif record.correct:
            yield prediction, float(next(marks[prediction.task, prediction.image]))
        else:
            # a caption, which is asked once of an image: it says all that is there, and nothing else, of any kind
            said = (images[prediction.image] for images in record.values.values())
            yield prediction, float(all(one == other for one, other in said))
