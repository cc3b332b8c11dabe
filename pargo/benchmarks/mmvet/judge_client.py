"""One question to an OpenAI-compatible endpoint; the key is read from the environment and gets no further."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pargo.errors import PargoError

if TYPE_CHECKING:
    from pargo.benchmarks.mmvet.judge import Judge

MAX_SHOWN = 200  # characters of a server's message in an error
MIN_SECRET = 8  # shorter ones are placeholders of servers without keys, and words of their own
_ONE_QUESTION = (400, 413, 422)  # what a server may hold against one request: its length, a content filter


class Reply(NamedTuple):
    content: str
    model: str


class Refused(Exception):  # noqa: N818 - no error of the run: the question stays without a grade
    """The server does not take this very question; the text says why."""


class Endpoint:
    """A client of the judge's server.

    Raises:
        PargoError: no key, one that cannot be sent, or a `base_url` that is no plain http(s) address.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._key = os.environ.get(judge.api_key_environment, "")
        if not self._key:
            raise PargoError(
                f"no key for the judge: set {judge.api_key_environment} (any word for a server that asks for none)"
            )
        if not self._key.isascii() or not self._key.isprintable() or " " in self._key:
            raise PargoError(f"the key in {judge.api_key_environment} holds a space or a character that no key has")
        import openai  # only here: it takes a second

        self._openai = openai
        self._client = openai.OpenAI(
            api_key=self._key, base_url=judge.base_url, timeout=judge.timeout, max_retries=judge.max_retries
        )

    def ask(self, text: str) -> Reply:
        """The reply to one message; empty where the server sends no text.

        Busy and failing servers, timeouts and broken connections are tried again, later and later.

        Raises:
            Refused: the server does not take this question.
            PargoError: it takes none (key, model, address), or it stays out of reach.
        """
        openai, judge = self._openai, self._judge
        try:
            completion: Any = self._client.chat.completions.create(
                model=judge.model,
                messages=[{"role": "user", "content": text}],
                temperature=judge.temperature,
                max_tokens=judge.max_tokens,
            )
            content, model = completion.choices[0].message.content, completion.model
        except openai.APIStatusError as error:
            reason = self.without_key(" ".join(error.message.split()))[:MAX_SHOWN] or f"HTTP {error.status_code}"
            if error.status_code in _ONE_QUESTION:
                raise Refused(reason) from None
            raise PargoError(f"judge {judge.base_url}: {self._hint(error.status_code)}: {reason}") from None
        except openai.APITimeoutError:
            raise PargoError(f"judge {judge.base_url}: no reply in time, tried again and again") from None
        except openai.APIConnectionError as error:
            cause = self.without_key(str(error.__cause__ or error))[:MAX_SHOWN]
            raise PargoError(f"judge {judge.base_url}: cannot be reached: {cause}") from None
        except (openai.APIResponseValidationError, ValueError, AttributeError, LookupError, TypeError):
            return Reply("", judge.model)  # no chat completion
        except openai.OpenAIError as error:
            raise PargoError(f"judge {judge.base_url}: {self.without_key(str(error))[:MAX_SHOWN]}") from None
        return Reply(
            self.without_key(content) if isinstance(content, str) else "",
            self.without_key(model) if isinstance(model, str) and model else judge.model,
        )

    def without_key(self, text: str) -> str:
        """The text, should a server repeat the key in what it says."""
        text = text.encode(errors="replace").decode()
        return text.replace(self._key, "[key]") if len(self._key) >= MIN_SECRET else text

    def _hint(self, status: int) -> str:
        if status in (401, 403):
            return f"the key in {self._judge.api_key_environment} is refused (HTTP {status})"
        if status == 404:
            return f"no model {self._judge.model!r}, or no chat there: base_url often ends in /v1 (HTTP 404)"
        if status == 429:
            return "too many requests, or nothing left to spend (HTTP 429)"
        return f"HTTP {status}"
