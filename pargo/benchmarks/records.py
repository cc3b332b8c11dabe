"""Questions and predictions, and the file they are kept in: all that a score may know of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from pargo.config.base import Settings
from pargo.errors import PargoError

PREDICTIONS = "predictions.jsonl"


class Question(Settings):
    """One question about one image.

    `image` is its id among the source's images, `label` the right answer as the benchmark writes it.
    """

    id: str
    task: str
    image: str
    question: str
    label: str


class Prediction(Question):
    """A question and what a model answered.

    `prompt` is the text it was given, `answer` its decoded answer without surrounding space, `parsed` what the
    benchmark's parser took it for (scores parse `answer` anew), `image_sha256` the hash of the image file.
    """

    prompt: str
    answer: str
    parsed: str
    image_sha256: str


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """One JSON object a line, in the order given."""
    lines = (json.dumps(prediction.model_dump(), ensure_ascii=False) + "\n" for prediction in predictions)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file.

    Raises:
        PargoError: no file, no prediction, a line that is no prediction, or an id twice; names file and line.
    """
    predictions: dict[str, Prediction] = {}
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                prediction = Prediction.model_validate_json(line)
                if prediction.id in predictions:
                    raise PargoError(f"{path}:{number}: question {prediction.id!r} twice")
                predictions[prediction.id] = prediction
    except OSError as error:
        raise PargoError(f"cannot read predictions {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "line"
        raise PargoError(f"{path}:{number}: not a prediction: {field}: {first['msg']}") from None
    if not predictions:
        raise PargoError(f"{path} holds no predictions")
    return list(predictions.values())
