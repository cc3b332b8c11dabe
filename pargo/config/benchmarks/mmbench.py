"""What a config can say of MMBench."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.benchmarks import BenchmarkSettings, ByTask, Size


class MMBench(BenchmarkSettings):
    title: ClassVar = "MMBench"
    by_task: ClassVar = ByTask("ability", "Accuracy")
    # v1.0 dev, published: rotations of a question share its image
    size: ClassVar = Size(questions=4329, images=1164, asked_tokens=90, answered_tokens=2)

    kind: Literal["mmbench"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["vlmevalkit_2024_08", "vlmevalkit_2025_08", "vlmevalkit_2026_08"] = Field(
        "vlmevalkit_2024_08",
        description="exact matching as in VLMEvalKit of that month and later, until the next; no judge is asked. "
        "The first is that of most published scores",
    )
