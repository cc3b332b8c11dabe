"""Parts of a score record (`score_record.py` beside this), checked when they are made and when they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PlainSerializer, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from pargo.config.base import Settings

Rule = Literal["sum", "mean", "pooled"]


def _number(value: Any) -> float:
    if type(value) is int or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise PydanticCustomError("number", "expected a finite number")


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, list | tuple):
        return tuple(map(_number, value))
    raise PydanticCustomError("numbers", "expected a list of finite numbers")


def _pair(value: Any) -> tuple[float, ...]:
    if len(found := _numbers(value)) == 2:
        return found
    raise PydanticCustomError("pair", "expected two finite numbers")


def _figure(value: Any) -> Any:
    return {str(name): _figure(part) for name, part in value.items()} if isinstance(value, dict) else _number(value)


_AS_IS = PlainSerializer(lambda value: value)  # an int is written as it was given

Number = Annotated[float, PlainValidator(_number), _AS_IS]
Figure = Annotated[float | Mapping[str, float], PlainValidator(_figure), _AS_IS]
Interval = Annotated[tuple[float, float], PlainValidator(_pair), _AS_IS]  # 95 %: low, high
Words = Annotated[tuple[str, ...], Field(strict=False)]
# task -> image -> numerator and denominator
Values = Mapping[str, Mapping[str, Annotated[Sequence[float], PlainValidator(_pair), _AS_IS]]]
# task -> image -> 0 (wrong) to 1 (right) of each question, in order
Correct = Mapping[str, Mapping[str, Annotated[Sequence[float], PlainValidator(_numbers), _AS_IS]]]


class Part(Settings, allow_inf_nan=False):
    """A part of a record, or the whole."""


class Headline(Part):
    """The score over all tasks; None where answers wait for a judge. The interval alone may be: `estimate_defined`."""

    name: str  # for readers, e.g. `accuracy`
    rule: Rule  # how the tasks become one number: sum or mean of their scores, or one ratio over all of them
    maximum: Number  # the best possible value
    value: Number | None
    interval: Interval | None  # bootstrap by image
    num_questions: NonNegativeInt  # of all tasks
    num_images: NonNegativeInt  # of all tasks, each counted once

    @model_validator(mode="after")
    def _whole(self) -> Headline:
        _check_both("value", self.value, self.interval)
        return self

    @property
    def known(self) -> float:
        """The value; ValueError where answers wait for a judge."""
        return _known(self.value)


class Task(Part):
    """One task; numbers are None where answers wait for a judge. The interval alone may be: `estimate_defined`."""

    score: Number | None
    accuracy: Number | None  # share of right answers, where answers are right or wrong
    accuracy_plus: Number | None  # share of images with all answers right, where the benchmark has it
    interval: Interval | None  # of the score, bootstrap by image
    num_questions: NonNegativeInt  # of this task
    num_images: NonNegativeInt  # of this task, or groups of questions where images are not known
    unparseable: NonNegativeInt  # answers of which the parser could make nothing

    @model_validator(mode="after")
    def _whole(self) -> Task:
        _check_both("score", self.score, self.interval)
        return self

    @property
    def known(self) -> float:
        """The score; ValueError where answers wait for a judge."""
        return _known(self.score)


class Baseline(Part):
    """A score that needs no image."""

    value: Number  # in the units of the headline
    interval: Interval | None = None  # only where the baseline draws at random
    how: str  # how one gets it, in words
    tasks: Mapping[str, Number] = Field(default_factory=dict)  # by task, where that is known


class HarnessFigure(Part):
    """A figure of another harness, and ours of that kind, if any."""

    theirs: Number
    ours: Number | None


class Reading(Part):
    """An answer that is right to one and wrong to the other."""

    id: str
    label: str
    answer: str
    theirs: str  # what the harness takes it for
    ours: str


class Readings(Part):
    """Answers that are right to one and wrong to the other."""

    number: NonNegativeInt
    of: NonNegativeInt
    examples: Annotated[tuple[Reading, ...], Field(strict=False)]  # the first of each kind


class HarnessRecord(Part):
    """What another harness would print for the same answers."""

    harness: str  # as `--as` names it
    tool: str  # its name and version
    figures: Mapping[str, HarnessFigure]  # by the harness's own names, in its own units
    read_otherwise: Readings | None  # None where a judge reads the answers
    why: Words  # why figures differ, a sentence each


def _check_both(name: str, value: float | None, interval: Interval | None) -> None:
    if value is None and interval is not None:
        raise PydanticCustomError("graded", f"`interval` should be null where `{name}` is")


def _known(value: float | None) -> float:
    if value is None:
        raise ValueError("not graded: no judge has read the answers")
    return value
