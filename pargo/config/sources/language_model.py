"""What a config can say of a language model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pargo.config.language_shape import LanguageShape
from pargo.config.sources import LocalSource


class LanguageModelSource(LocalSource):
    """A language model: a `.gguf` file, or the directory of an InternLM2 model or of one that transformers knows."""

    kind: Literal["language_model"]
    path: str = Field(description="relative to the project")
    shape: LanguageShape

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.path,)
