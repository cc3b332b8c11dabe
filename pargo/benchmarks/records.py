"""Questions, answers and predictions, and the file they are kept in: all that a score may know of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from pargo.config.base import Settings
from pargo.errors import PargoError

PREDICTIONS = "predictions.jsonl"

Record = TypeVar("Record", bound="Question")


class Question(Settings):
    """One question about one image.

    `image` is its id among the source's images, `label` the right answer as the benchmark writes it, empty where it is
    not published. Multiple choice has `options`, letter -> text. `details` are further columns of the benchmark's own
    table that its score or export needs, by their official names.
    """

    id: str
    task: str
    image: str
    question: str
    label: str
    hint: str = ""
    options: dict[str, str] = Field(default_factory=dict)
    details: dict[str, str] = Field(default_factory=dict)


class Answered(Question):
    """A question and the answer to it, decoded, without surrounding space: what scores read."""

    answer: str


class Prediction(Answered):
    """What a model of ours answered.

    `prompt` is the text it was given, `parsed` what the benchmark's parser took its answer for (scores parse `answer`
    anew), `image_sha256` the hash of the image file. `option_losses` [letter -> (sum over the option's tokens of their
    cross entropy in nats, number of tokens)] are there when options were ranked by loss; `label_losses` [kind of fact
    -> the same of the tokens of the right answer that say such facts] when a benchmark asks for them.
    """

    prompt: str
    parsed: str
    image_sha256: str
    option_losses: dict[str, tuple[float, int]] = Field(default_factory=dict)
    label_losses: dict[str, tuple[float, int]] = Field(default_factory=dict)


def write_predictions(path: Path, predictions: Iterable[Question]) -> None:
    """One JSON object a line, in the order given; fields that a record does not use are left out."""
    lines = (
        json.dumps(prediction.model_dump(exclude_defaults=True), ensure_ascii=False) + "\n"
        for prediction in predictions
    )
    path.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file (`predictions.jsonl`), in its order.

    Raises:
        PargoError: no file, no prediction, a line that is no prediction, or an id twice; names file and line.
    """
    return read_records(path, Prediction)


def read_records(path: Path, kind: type[Record]) -> list[Record]:
    """The questions or predictions of a file.

    Raises:
        PargoError: no file, no record, a line that is none, or an id twice; names file and line.
    """
    records: dict[str, Record] = {}
    name = kind.__name__.lower()
    try:
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    except OSError as error:
        raise PargoError(f"cannot read {name}s {path}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if line == b"" and len(lines) == 1:
            break
        try:
            record = kind.model_validate_json(line)
        except ValidationError as error:
            # in pydantic's words: the module of ours would belong to the code of every evaluation
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "line"
            raise PargoError(f"{path}:{number}: not a {name}: {field}: {first['msg']}") from None
        if record.id in records:
            raise PargoError(f"{path}:{number}: question {record.id!r} twice")
        records[record.id] = record
    if not records:
        raise PargoError(f"{path} holds no {name}s")
    return list(records.values())


def check_ids(answers: Sequence[Question], where: str) -> None:
    """Raise PargoError when an id is there twice."""
    seen: set[str] = set()
    for answer in answers:
        if answer.id in seen:
            raise PargoError(f"{where}: question {answer.id!r} twice")
        seen.add(answer.id)
