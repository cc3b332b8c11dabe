"""The first answer of a source that has captions."""

from __future__ import annotations

from typing import Literal

from pargo.config.engines import EngineSettings


class ConversationEngine(EngineSettings):
    """The first answer of a source that has captions."""

    kind: Literal["conversation"]
