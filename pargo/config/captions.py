"""How the captions of a pretraining dataset are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from pargo.config.base import Fraction, Positive, Settings
from pargo.config.engines import Engine

ENGINE: Any = Field(
    "annotations",
    validate_default=True,
    description="what makes them, by its `kind`; an engine without further settings may be written as a bare word",
)


class Captions(Settings, hide_input_in_errors=True):
    """Captions of a dataset."""

    engine: Engine = ENGINE
    num_shards: Positive = Field(1, description="jobs that share the images")
    max_failures: Fraction = Field(
        0.01, description="largest share of images without a caption; more is an error, and all results are kept"
    )

    @property
    def local_files(self) -> list[Path]:
        """The folder of the model that makes them, where it runs here."""
        return [] if self.engine.weights is None else [self.engine.weights]
