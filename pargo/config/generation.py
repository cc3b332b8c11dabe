"""Generation: apart from training, so that a change of how models answer does not train them again."""

from __future__ import annotations

from pydantic import Field

from pargo.config.base import Positive, Settings


class Generation(Settings):
    """How answers are generated."""

    batch_size: Positive = Field(32, description="questions answered at once; answers do not depend on it")
    max_new_tokens: Positive | None = Field(None, description="by default what the benchmark's prompt preset says")
    num_beams: Positive | None = Field(None, description="likewise; 1 is greedy")
    early_stop: bool = Field(
        True,
        description="end an answer at the first token after which nothing can change what any parser makes of it",
    )
    num_shards: Positive = Field(1, description="jobs, e.g. one per GPU, that share the questions of a benchmark")
    num_threads: Positive = 1
