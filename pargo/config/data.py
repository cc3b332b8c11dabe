"""Datasets, captions and benchmarks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pargo.config.base import Fraction, Name, Positive, Settings


class Dataset(Settings):
    """Images, annotations and conversations to train on: one split of a source."""

    source: Name
    split: Literal["train", "test"] = "train"


class Quality(Settings):
    """Caption filter; each rule counts what it drops."""

    min_words: Positive = 3
    max_words: Positive = 200
    max_repetition: Fraction = Field(0.5, description="largest share of the words taken by one word")


class Captions(Settings):
    """How captions are made for the datasets of the pretraining mixture."""

    engine: Literal["annotations"] = "annotations"
    quality: Quality = Quality()


class MiniMME(Settings):
    kind: Literal["mini_mme"]
    source: Name
    split: Literal["test"] = "test"
    prompt: Literal["compact", "official"] = "compact"
    parser: Literal["official", "pargo_release"] = "official"


class EasyVQA(Settings):
    kind: Literal["easy_vqa"]
    source: Name
    split: Literal["train", "test"] = "test"
    prompt: Literal["compact"] = "compact"
    max_questions: Positive | None = None


Benchmark = Annotated[MiniMME | EasyVQA, Field(discriminator="kind")]
