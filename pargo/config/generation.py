"""Generation: apart from training, so that a change of how models answer does not train them again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pargo.config.base import Positive, Settings


class Generation(Settings):
    """How answers are generated."""

    batch_size: Positive = Field(
        32,
        description="questions answered at once; in float32 answers do not depend on it but for ties within rounding; "
        "in bf16 some do, unless it is 1",
    )
    precision: Literal["fp32", "bf16"] | None = Field(
        None,
        description="number type of the language model while it answers; by default that of `language`. fp32 makes "
        "answers independent of `batch_size`, at twice the memory of bf16",
    )
    max_new_tokens: Positive | None = Field(None, description="by default what the benchmark's prompt preset says")
    num_beams: Positive | None = Field(None, description="likewise; 1 is greedy")
    early_stop: bool = Field(
        True,
        description="end an answer at the first token after which nothing can change what any parser makes of it",
    )
    num_shards: Positive = Field(1, description="jobs, e.g. one per GPU, that share the questions of a benchmark")
    num_threads: Positive = 1
