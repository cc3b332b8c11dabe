"""A server that speaks the OpenAI API: its address and how it is asked. Keys are in no setting."""

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


class Endpoint(Settings, hide_input_in_errors=True):
    """A model behind `/chat/completions`. Its key is in no setting: only the name of the variable that holds it."""

    base_url: Annotated[str, AfterValidator(_check_url)] = Field(description="address of the API, often ending in /v1")
    model: Annotated[str, Field(min_length=1)]
    api_key_environment: str = "OPENAI_API_KEY"
    timeout: Annotated[float, Field(gt=0)] = Field(60.0, description="seconds without a sign of the server")
    num_threads: Positive = Field(8, description="requests at the same time")
