"""What a config can say of MM-Vet."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.benchmarks import BenchmarkSettings, ByTask, Size
from pargo.config.judge import Judge


class MMVet(BenchmarkSettings):
    title: ClassVar = "MM-Vet"
    by_task: ClassVar = ByTask("capability")
    size: ClassVar = Size(questions=218, images=200, asked_tokens=30, answered_tokens=120)  # published
    needs: ClassVar = {"results": ("add_grades",)}

    kind: Literal["mmvet"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["judge", "proxy"] = Field(
        "judge",
        description="judge: grades of a judge model; proxy: words of the answer, never beside published numbers",
    )
    judge: Judge | None = Field(None, description="without one the answers are exported and stay `not graded`")

    @property
    def grader(self) -> Judge | None:
        return self.judge

    @property
    def ungraded(self) -> MMVet:
        return self.model_copy(update={"judge": None})
