"""What a config can say of images with conversations."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from pargo.config.base import Fraction
from pargo.config.sources import LocalSource, Paths


class ConversationsSource(LocalSource):
    """Images with conversations, questions or captions, in the layouts of `pargo/sources/importers/layouts.py`."""

    splits: ClassVar = ("train",)

    kind: Literal["conversations"]
    annotations: Paths = Field(
        description="files with a list in JSON, with one entry a line (.jsonl), or tables (.parquet)"
    )
    images: str = Field(description="folder that the names of images start from, and that none may leave")
    licences: dict[str, str] = Field({}, description="licence by the first folder of an image's name, its origin")
    merge: bool = Field(False, description="entries of one image become one conversation; all are held in memory")
    answer_hint: str | None = Field(
        None,
        description="what form of answer is wanted, after the first question of entries with `question`, "
        "e.g. Answer the question using a single word or phrase.",
    )
    max_broken: Fraction = Field(
        0.001,
        description="share of entries that may be left out (no image found, several images, an empty answer), listed "
        "with their reasons; more are an error",
    )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Whose change imports it again; a million images are too many to look at every time."""
        return self.annotations

    @property
    def by_hand(self) -> tuple[str, ...]:
        return *self.annotations, self.images
