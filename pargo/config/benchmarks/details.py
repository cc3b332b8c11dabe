"""What a config can say of the benchmark of details."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.benchmarks import BenchmarkSettings, ByTask, Size

CAPTION_TOKENS = 45  # of a caption, about


class Details(BenchmarkSettings):
    """What captions get right, by kind of fact; of any source of shards whose records hold annotations."""

    title: ClassVar = "Details"
    needs: ClassVar = {"answers": ("label_spans",)}
    of_annotations: ClassVar = True
    by_task: ClassVar = ByTask("kind of fact", "F1", "facts")

    kind: Literal["details"]
    split: Literal["train", "test"] = "test"
    prompt: Literal["caption"] = "caption"
    parser: Literal["facts"] = "facts"
    max_images: Positive | None = None
    model: Literal["pretrain", "finetune"] = Field(
        "pretrain", description="stage whose models are asked; pretraining is on captions alone"
    )

    def size_of(self, num_images: int | None) -> Size | None:
        """A caption of each image."""
        if num_images is None:
            return None
        count = min(num_images, self.max_images or num_images)
        return Size(count, count, 1, CAPTION_TOKENS)

    @property
    def asked_model(self) -> Literal["pretrain", "finetune"]:
        return self.model
