"""What a config can say of SEED-Bench."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.benchmarks import BenchmarkSettings, ByTask, Size


class SEEDBench(BenchmarkSettings):
    title: ClassVar = "SEED-Bench"
    by_task: ClassVar = ByTask("dimension", "Accuracy")
    # published; images: at most
    size: ClassVar = Size(questions=14232, images=14232, asked_tokens=70, answered_tokens=2)
    needs: ClassVar = {"answers": ("rank",)}

    kind: Literal["seedbench"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["letter", "ranking_sum", "ranking_mean"] = Field(
        "letter",
        description="letter: the generated letter; ranking: the option of least loss, the sum or mean over its tokens",
    )
