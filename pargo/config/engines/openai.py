"""A model behind a server that speaks the OpenAI API."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pargo.config.base import Positive, Settings
from pargo.config.endpoint import Endpoint
from pargo.config.engines._model import ModelEngine


class Picture(Settings):
    """How an image is sent: as JPEG in the request."""

    max_side: Positive = Field(1024, description="pixels; larger images are scaled down")
    quality: Annotated[int, Field(ge=1, le=95)] = 90


class OpenAIEngine(ModelEngine, Endpoint):
    """Any server with `/chat/completions` that sees images: vLLM, SGLang, `transformers serve`, a commercial one."""

    how: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "api_key_environment", "timeout", "num_threads", "max_tries", "max_wait", "max_outage"}
    )
    kind: Literal["openai"]
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
