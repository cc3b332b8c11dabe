"""What a config can say of POPE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pargo.config.benchmarks import BenchmarkSettings, Size


class POPE(BenchmarkSettings):
    title: ClassVar = "POPE"
    size: ClassVar = Size(questions=9000, images=500, asked_tokens=25, answered_tokens=2)  # published

    kind: Literal["pope"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["official"] = "official"
