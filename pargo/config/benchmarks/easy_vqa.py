"""What a config can say of easy-VQA."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.base import Positive
from pargo.config.benchmarks import BenchmarkSettings


class EasyVQA(BenchmarkSettings):
    title: ClassVar = "easy-VQA"

    kind: Literal["easy_vqa"]
    split: Literal["train", "test"] = "test"
    prompt: Literal["compact"] = "compact"
    parser: Literal["exact"] = "exact"
    max_questions: Positive | None = None
