"""The judge model that grades answers no rule can score."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.endpoint import Endpoint


class Judge(Endpoint):
    """The judge model."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Positive = Field(16, description="of a reply; models that think before they reply need more")
    num_runs: Positive = Field(1, description="grades for each answer; their mean counts")
    max_retries: Annotated[int, Field(ge=0)] = Field(6, description="of a busy, failing or silent server")
    max_replies: Positive = Field(5, description="replies without a grade, after which the answer stays ungraded")
