"""A model of a local directory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.engines._model import ModelEngine


class TransformersEngine(ModelEngine):
    """A model of a local directory, run here in batches."""

    kind: Literal["transformers"]
    directory: str = Field(description="of a model for images and text that transformers can load; never remote code")
    batch_size: Positive = 8
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"

    @property
    def weights(self) -> Path:
        return Path(self.directory)
