"""One question to the judge's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pargo.errors import PargoError
from pargo.remote.client import ChatClient, Garbage, Refused, Reply, Unavailable

if TYPE_CHECKING:
    from pargo.config.judge import Judge

__all__ = ["JudgeClient", "Refused"]


class JudgeClient:
    """A client of the judge's server.

    Raises:
        PargoError: no key, or one that cannot be sent.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._client = ChatClient(judge, "judge", max_retries=judge.max_retries)

    def ask(self, text: str, temperature: float) -> Reply:
        """The reply to one message; empty where the server sends no text.

        Busy and failing servers, timeouts and broken connections are tried again, later and later.

        Raises:
            Refused: the server does not take this question.
            PargoError: it takes none (key, model, address), or it stays out of reach.
        """
        judge = self._judge
        message = {"role": "user", "content": text}
        try:
            return self._client.ask([message], temperature=temperature, max_tokens=judge.max_tokens)
        except Garbage:
            return Reply("", judge.model)
        except Unavailable as error:
            raise PargoError(f"{self._client}: {error}") from None
