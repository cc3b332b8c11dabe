"""What a config can say of POPE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.benchmarks import BenchmarkSettings, ByTask, Size


class POPE(BenchmarkSettings):
    title: ClassVar = "POPE"
    by_task: ClassVar = ByTask("split", "F1")
    size: ClassVar = Size(questions=9000, images=500, asked_tokens=25, answered_tokens=2)  # published

    kind: Literal["pope"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["official"] = "official"
