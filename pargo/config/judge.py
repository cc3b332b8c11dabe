"""The judge model that grades answers no rule can score."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pargo.config.base import Positive, Settings


def _check_url(url: str) -> str:
    """Raise ValueError unless the address is http(s), with a host and nothing that may hold a secret."""
    if set("@?#") & set(url):
        raise ValueError("the address holds a user, a password or a query: keys belong in the environment")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{url!r:.100}: expected an address like https://host/v1")
    return url


class Judge(Settings, hide_input_in_errors=True):
    """The judge model. Its key is in no setting: only the name of the environment variable that holds it."""

    base_url: Annotated[str, AfterValidator(_check_url)] = Field(description="address of the API, often ending in /v1")
    model: Annotated[str, Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0)] = 0.0
    max_tokens: Positive = Field(16, description="of a reply; models that think before they reply need more")
    num_runs: Positive = Field(1, description="grades for each answer; their mean counts")
    api_key_environment: str = "OPENAI_API_KEY"
    timeout: Annotated[float, Field(gt=0)] = Field(60.0, description="seconds without a sign of the server")
    max_retries: Annotated[int, Field(ge=0)] = Field(6, description="of a busy, failing or silent server")
    max_replies: Positive = Field(5, description="replies without a grade, after which the answer stays ungraded")
    num_threads: Positive = Field(8, description="requests at the same time")
