"""Benchmarks: which files, which prompt, which reading of the answers.

The default prompt is the one whose answers end where this project's models learn to end them, at a newline: others stop
at the end-of-text token alone, and what a model writes until there would be read as its answer.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pargo.config.base import Name, Positive, Settings
from pargo.config.judge import Judge


class MME(Settings):
    kind: Literal["mme"]
    source: Name
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "pargo_release", "compact"] = "official"
    parser: Literal["official", "pargo_release"] = "official"
    partial: bool = Field(False, description="accept a part of the tasks or images")


class MiniMME(MME):
    """Small scenes with MME's layout, questions and rules; not comparable with MME."""

    kind: Literal["mini_mme"]  # type: ignore[assignment]
    prompt: Literal["official", "llava", "pargo_release", "compact"] = "compact"
    partial: bool = True


class EasyVQA(Settings):
    kind: Literal["easy_vqa"]
    source: Name
    split: Literal["train", "test"] = "test"
    prompt: Literal["compact"] = "compact"
    parser: Literal["exact"] = "exact"
    max_questions: Positive | None = None


class MMBench(Settings):
    kind: Literal["mmbench"]
    source: Name
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["vlmevalkit_2024_08", "vlmevalkit_2025_08", "vlmevalkit_2026_08"] = Field(
        "vlmevalkit_2024_08",
        description="exact matching as in VLMEvalKit of that month and later, until the next; no judge is asked. "
        "The first is that of most published scores",
    )


class SEEDBench(Settings):
    kind: Literal["seedbench"]
    source: Name
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["letter", "ranking_sum", "ranking_mean"] = Field(
        "letter",
        description="letter: the generated letter; ranking: the option of least loss, the sum or mean over its tokens",
    )


class MMVet(Settings):
    kind: Literal["mmvet"]
    source: Name
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["judge", "proxy"] = Field(
        "judge",
        description="judge: grades of a judge model; proxy: words of the answer, never beside published numbers",
    )
    judge: Judge | None = Field(None, description="without one the answers are exported and stay `not graded`")


class POPE(Settings):
    kind: Literal["pope"]
    source: Name
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["official"] = "official"


Benchmark = Annotated[MME | MiniMME | EasyVQA | MMBench | SEEDBench | MMVet | POPE, Field(discriminator="kind")]
