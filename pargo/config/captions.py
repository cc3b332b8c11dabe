"""How the captions of a pretraining dataset are made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pargo.config.base import Fraction, Positive, Settings
from pargo.config.endpoint import Endpoint


class Prompts(Settings):
    """What a model is asked; the texts are in `pargo.captions.prompts`."""

    variants: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("scene-1", "regions-1", "details-1"), description="ids of prompts, one of which is drawn for each image"
    )
    hint: bool = Field(True, description="show the model the text that came with the image, as possibly wrong")


class Sampling(Settings):
    """Always sent, whatever the server's own defaults are."""

    temperature: Annotated[float, Field(ge=0)] = 0.2
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Positive = 512
    seed: int | None = Field(None, description="not every server takes one")


class Picture(Settings):
    """How an image is sent: as JPEG in the request."""

    max_side: Positive = Field(1024, description="pixels; larger images are scaled down")
    quality: Annotated[int, Field(ge=1, le=95)] = 90


class OpenAIEngine(Endpoint):
    """Any server with `/chat/completions` that sees images: vLLM, SGLang, `transformers serve`, a commercial one."""

    kind: Literal["openai"]
    revision: str = Field("", description="of the model, as you know it; written into every record")
    prompts: Prompts = Prompts()
    sampling: Sampling = Sampling()
    picture: Picture = Picture()
    timeout: Annotated[float, Field(gt=0)] = Field(120.0, description="seconds without a sign of the server")
    num_threads: Positive = Field(32, description="requests at the same time")
    max_tries: Positive = Field(6, description="of one image, on a busy, failing or silent server")
    max_wait: Annotated[float, Field(gt=0)] = Field(
        60.0, description="seconds between two tries, at most, unless the server asks for more"
    )
    max_outage: Annotated[float, Field(gt=0)] = Field(
        3600.0, description="seconds for which a server may answer nobody before the job ends; what is done is kept"
    )


class TransformersEngine(Settings):
    """A model of a local directory, run here in batches."""

    kind: Literal["transformers"]
    directory: str = Field(description="of a model for images and text that transformers can load; never remote code")
    revision: str = ""
    prompts: Prompts = Prompts()
    sampling: Sampling = Sampling()
    batch_size: Positive = 8
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"


# engines without settings: annotations put into words, and the first answer of a source that has captions
Word = Literal["annotations", "conversation"]


def _tag(engine: Any) -> Any:
    """Which of the classes; a bare word is an engine without settings."""
    if isinstance(engine, str):
        return "word"
    return engine.get("kind") if isinstance(engine, dict) else getattr(engine, "kind", None)


Engine = Annotated[
    Annotated[Word, Tag("word")]
    | Annotated[OpenAIEngine, Tag("openai")]
    | Annotated[TransformersEngine, Tag("transformers")],
    Discriminator(_tag),
]


class Captions(Settings, hide_input_in_errors=True):
    """Captions of a dataset."""

    engine: Engine = Field(
        "annotations",
        description="annotations: put into words; conversation: the first answer of a source that has captions; or a "
        "model, with a kind: openai (a server) or transformers (a local directory)",
    )
    num_shards: Positive = Field(1, description="jobs that share the images")
    max_failures: Fraction = Field(
        0.01, description="largest share of images without a caption; more is an error, and all results are kept"
    )

    @property
    def engine_kind(self) -> str:
        return self.engine if isinstance(self.engine, str) else self.engine.kind
