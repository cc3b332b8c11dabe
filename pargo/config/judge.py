"""The judge model that grades answers no rule can score."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pargo.config.base import Positive, Settings


class Judge(Settings):
    """The judge model. Its key is in no setting: only the name of the environment variable that holds it."""

    base_url: str = Field(description="address of the API, often ending in /v1")
    model: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Positive = Field(16, description="of a reply; models that think before they reply need more")
    num_runs: Positive = Field(1, description="grades for each answer; their mean counts")
    api_key_environment: str = "OPENAI_API_KEY"
    timeout: Annotated[float, Field(gt=0)] = Field(60.0, description="seconds without a sign of the server")
    max_retries: Annotated[int, Field(ge=0)] = Field(6, description="of a busy, failing or silent server")
    max_replies: Positive = Field(5, description="replies without a grade, after which the answer stays ungraded")
    num_threads: Positive = Field(8, description="requests at the same time")
