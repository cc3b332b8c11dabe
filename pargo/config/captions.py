"""How the captions of a pretraining dataset are made."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pargo.config.base import Fraction, Positive, Settings
from pargo.config.engines import Engine

ENGINE: Any = Field(
    "annotations",
    validate_default=True,
    description="annotations: put into words; conversation: the first answer of a source that has captions; or a "
    "model, with a kind: openai (a server) or transformers (a local directory)",
)


class Captions(Settings, hide_input_in_errors=True):
    """Captions of a dataset."""

    engine: Engine = ENGINE
    num_shards: Positive = Field(1, description="jobs that share the images")
    max_failures: Fraction = Field(
        0.01, description="largest share of images without a caption; more is an error, and all results are kept"
    )
