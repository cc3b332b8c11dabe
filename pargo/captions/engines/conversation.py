"""The first answer of the stored conversation: for sources whose images come with captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pargo.captions.samples import Caption, CaptionEngine, Result, Sample
from pargo.config.engines.conversation import ConversationEngine


class Engine(CaptionEngine[ConversationEngine]):
    """An image without an answer gets an empty caption."""

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        for sample in samples:
            turns = sample.record["conversation"]
            yield Caption(sample.id, turns[0][1] if turns else "")
