"""One message to an OpenAI-compatible server; the key is read from the environment and gets no further."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pargo.config.endpoint import Endpoint
from pargo.errors import PargoError

MAX_SHOWN = 200  # characters of a server's message in an error
MIN_SECRET = 8  # shorter ones are placeholders of servers without keys, and words of their own
_ONE_QUESTION = (400, 413, 422)  # what a server may hold against one request: its length, a content filter
_LATER = (408, 409, 425, 429)


class Reply(NamedTuple):
    """What the server says; `model` and `usage` as it names and counts them.

    `only_thoughts`: a reasoning model thought, in a field of its own, and came to no answer.
    """

    content: str
    model: str
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None
    only_thoughts: bool = False


class Refused(Exception):  # noqa: N818 - no error of the run: one question stays without an answer
    """The server does not take this very question; the text says why."""


class Unavailable(Exception):  # noqa: N818 - it may be another time
    """The server gave no usable reply this time; it may give one later.

    Attributes:
        retry_after: seconds after which the server wants to be asked again, if it says so.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Garbage(Unavailable):
    """A reply that is no chat completion."""


class ChatClient:
    """A client of a server; may be used by several threads.

    Args:
        who: for messages, e.g. `judge`.
        max_retries: of a busy, failing or silent server, before `Unavailable`.

    Raises:
        PargoError: no key, or one that cannot be sent.
    """

    def __init__(self, endpoint: Endpoint, who: str, *, max_retries: int = 0) -> None:
        self._endpoint, self._who = endpoint, who
        name = endpoint.api_key_environment
        self._key = os.environ.get(name, "")
        if not self._key:
            raise PargoError(f"no key for the {who}: set {name} (any word for a server that asks for none)")
        if not self._key.isascii() or not self._key.isprintable() or " " in self._key:
            raise PargoError(f"the key in {name} holds a space or a character that no key has")
        import openai  # only here: it takes a second

        self._openai = openai
        self._client = openai.OpenAI(
            api_key=self._key, base_url=endpoint.base_url, timeout=endpoint.timeout, max_retries=max_retries
        )

    def ask(self, messages: Sequence[Mapping[str, Any]], **sampling: Any) -> Reply:
        """The reply to messages; its content is empty where the server sends no text.

        Args:
            messages: as in the API.
            sampling: `temperature`, `max_tokens`, ...; those that are None are not sent.

        Raises:
            Refused: the server does not take this question.
            Unavailable: it is busy, failing or silent.
            PargoError: it takes no question at all (key, model, address).
        """
        openai = self._openai
        try:
            completion: Any = self._client.chat.completions.create(
                model=self._endpoint.model,
                messages=messages,  # type: ignore[arg-type]
                **{name: value for name, value in sampling.items() if value is not None},
            )
            choice = completion.choices[0]
            content, model, reason = _text(choice.message.content), completion.model, choice.finish_reason
            thoughts = any(getattr(choice.message, name, None) for name in ("reasoning_content", "reasoning"))
        except openai.APIStatusError as error:
            raise self._status(error) from None
        except openai.APITimeoutError:
            raise Unavailable("no reply in time") from None
        except openai.APIConnectionError as error:
            cause = self.without_key(str(error.__cause__ or error))[:MAX_SHOWN]
            raise Unavailable(f"cannot be reached: {cause}") from None
        except (openai.APIResponseValidationError, ValueError, AttributeError, LookupError, TypeError):
            raise Garbage("no chat completion") from None
        except openai.OpenAIError as error:
            raise PargoError(f"{self}: {self.without_key(str(error))[:MAX_SHOWN]}") from None
        return Reply(
            self.without_key(content),
            self.without_key(model) if isinstance(model, str) and model else self._endpoint.model,
            self.without_key(reason) if isinstance(reason, str) else None,
            _counts(getattr(completion, "usage", None)),
            thoughts and not content.strip(),
        )

    def _status(self, error: Any) -> Exception:
        """What a status other than 200 means."""
        status, text = error.status_code, self.without_key(" ".join(error.message.split()))[:MAX_SHOWN]
        if status in _ONE_QUESTION:
            return Refused(text or f"HTTP {status}")
        problem = f"{self._hint(status)}: {text or f'HTTP {status}'}"
        if status in _LATER or status >= 500:
            return Unavailable(problem, _seconds(error.response.headers.get("retry-after")))
        return PargoError(f"{self}: {problem}")

    def without_key(self, text: str) -> str:
        """The text, should a server repeat the key in what it says."""
        text = text.encode(errors="replace").decode()
        return text.replace(self._key, "[key]") if len(self._key) >= MIN_SECRET else text

    def _hint(self, status: int) -> str:
        if status in (401, 403):
            return f"the key in {self._endpoint.api_key_environment} is refused (HTTP {status})"
        if status == 404:
            return f"no model {self._endpoint.model!r}, or no chat there: base_url often ends in /v1 (HTTP 404)"
        if status == 429:
            return "too many requests, or nothing left to spend (HTTP 429)"
        return f"HTTP {status}"

    def __str__(self) -> str:
        return f"{self._who} {self._endpoint.base_url}"


def _text(content: Any) -> str:
    """The text of a message; of parts, as some servers send them, those of text, which leaves out thoughts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _seconds(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header; it may also hold a date, which counts as nothing said."""
    try:
        return max(0.0, float(header or ""))
    except ValueError:
        return None


def _counts(usage: Any) -> dict[str, int] | None:
    names = ("prompt_tokens", "completion_tokens")
    found = {name: getattr(usage, name, None) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, int)} or None
