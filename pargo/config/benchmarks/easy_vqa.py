"""What a config can say of easy-VQA."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.benchmarks import BenchmarkSettings, ByTask, Size


class EasyVQA(BenchmarkSettings):
    title: ClassVar = "easy-VQA"
    by_task: ClassVar = ByTask("type of answer", "Accuracy")

    kind: Literal["easy_vqa"]
    split: Literal["train", "test"] = "test"
    prompt: Literal["compact"] = "compact"
    parser: Literal["exact"] = "exact"
    max_questions: Positive | None = None
    skip_images: int = Field(
        0, ge=0, description="leave out the first images of the split, which another config asks about"
    )

    def size_of(self, num_images: int | None) -> Size | None:
        """Some nine questions about each image; the package itself says how many there are."""
        count = self.max_questions
        return None if count is None else Size(count, -(-count // 9), 8, 1)
