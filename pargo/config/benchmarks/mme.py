"""What a config can say of MME."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.benchmarks import BenchmarkSettings, Size


class MME(BenchmarkSettings):
    title: ClassVar = "MME"
    size: ClassVar[Size | None] = Size(questions=2374, images=1187, asked_tokens=40, answered_tokens=2)  # published
    needs: ClassVar = {"results": ("check_complete",)}
    leads: ClassVar = True
    whole: ClassVar = True

    kind: Literal["mme"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "pargo_release", "compact"] = "official"
    parser: Literal["official", "pargo_release"] = "official"
    partial: bool = Field(False, description="accept a part of the tasks or images")
