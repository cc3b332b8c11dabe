"""Settings of the warm-up of a small language model on text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pargo.config.base import Fraction, Name, Positive, Settings


class WarmUp(Settings):
    """A choice of toy scale: all layers of the language model first learn the form of captions and conversations.

    Details of an image's caption stand in its place, so no image is seen. All arms and seeds start from one warm-up.
    """

    mixture: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        min_length=1, description="dataset name -> sampling weight; their sources have annotations"
    )
    num_samples: Positive = Field(description="drawn in all: the number of steps times `batch_size`")
    batch_size: Positive = Field(description="samples per optimizer step")
    captions: Fraction = Field(
        0.35, description="share of captions; it falls over time: what is where is learnt from them, before questions"
    )
    max_turns: Positive | None = Field(None, description="question-answer pairs of a conversation, others every time")
    num_image_tokens: Positive = Field(
        16, description="vectors in place of an image: its details, repeated to so many; none has more details"
    )
    vocabulary: Literal["all", "texts"] = Field(
        "all", description="texts: the language model keeps only tokens that the mixture's texts have, and bytes"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        4e-4, description="of all layers; it rises for a twentieth of the steps and decays by a cosine"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of the order; seeds of the experiment share the warm-up")
    num_threads: Positive = Field(2, description="CPU threads; part of the numbers, as sums are split by thread")

    @model_validator(mode="after")
    def _batches(self) -> WarmUp:
        if self.num_samples % self.batch_size:
            raise ValueError(f"num_samples {self.num_samples} is not a multiple of batch_size {self.batch_size}")
        return self

    def captions_at(self, progress: float) -> float:
        """Probability of a caption after this share of all samples, from 0 to 1; `captions` in the mean."""
        fall = 2 * min(self.captions, 1 - self.captions)
        return self.captions + fall * (0.5 - progress)

    @property
    def num_steps(self) -> int:
        return self.num_samples // self.batch_size
