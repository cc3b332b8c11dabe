"""Datasets to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pargo.config.base import Name, Settings
from pargo.config.captions import ENGINE, Captions
from pargo.config.engines import ENGINES, IMPLEMENTATIONS, EngineSettings, from_word
from pargo.config.quality import Quality
from pargo.config.selection import Selection

if TYPE_CHECKING:
    AnyEngine = EngineSettings
else:
    AnyEngine = Annotated[ENGINES.union, BeforeValidator(from_word), AfterValidator(IMPLEMENTATIONS.checked)]


class DatasetCaptions(Captions):
    """Captions of a dataset."""

    engine: AnyEngine = ENGINE


class Dataset(Settings):
    """Images, annotations and conversations to train on: one split of a source."""

    source: Name
    split: Literal["train", "test"] = "train"
    selection: Selection | None = Field(None, description="of its images; by default the config's")
    captions: DatasetCaptions | None = Field(None, description="how they are made; by default the config's")
    quality: Quality | None = Field(None, description="of its captions; by default the config's")
    shuffle_turns: bool = Field(
        False,
        description="of conversations, in every epoch anew: for questions that do not lean on each other",
    )
