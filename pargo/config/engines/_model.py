"""Settings of engines that ask a model."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pargo.config.base import Positive, Settings
from pargo.config.engines import EngineSettings


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


class ModelEngine(EngineSettings):
    """An engine that asks a model."""

    has_model: ClassVar[bool] = True
    in_request: ClassVar[frozenset[str]] = frozenset({"prompts"})
    revision: str = Field("", description="of the model, as you know it; written into every record")
    prompts: Prompts = Prompts()
    sampling: Sampling = Sampling()

    @property
    def shows_text(self) -> bool:
        return self.prompts.hint

    def in_words(self) -> str:
        return f"sampling {self.sampling.model_dump(exclude_none=True)}"
