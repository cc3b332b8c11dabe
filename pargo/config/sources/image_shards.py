"""What a config can say of images in tar files."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from pargo.config.base import Fraction, Name, Settings
from pargo.config.sources import LocalSource


class ImageFields(Settings):
    """Fields of a sample's JSON file that hold a probability; img2dataset copies them from the list of URLs."""

    nsfw: str = "punsafe"
    watermark: str = "pwatermark"


class ImageShardsSource(LocalSource):
    """Pools of images in tar files, as img2dataset or webdataset write them; indexed where they are, not copied."""

    in_place: ClassVar = True
    splits: ClassVar = ("train",)

    kind: Literal["image_shards"]
    shards: Annotated[dict[Name, str], Field(min_length=1)] = Field(
        description="folder of .tar files by origin; relative to the project"
    )
    licences: dict[Name, str] = Field({}, description="licence by origin")
    fields: ImageFields = ImageFields()
    max_broken: Fraction = Field(
        0.01, description="share of samples that may be left out, listed with their reasons; more are an error"
    )

    @model_validator(mode="after")
    def _licences_of_origins(self) -> ImageShardsSource:
        if unknown := sorted(self.licences.keys() - self.shards.keys()):
            raise ValueError(f"licences: no such origin in shards: {', '.join(unknown)}")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(self.shards.values())
