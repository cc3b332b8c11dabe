"""Annotations, put into few words: the arm that shows what detailed captions are worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pargo.captions.samples import Caption, CaptionEngine, Result, Sample
from pargo.config.engines.annotations_short import ShortAnnotationsEngine
from pargo.data.annotations import describe_briefly


class Engine(CaptionEngine[ShortAnnotationsEngine]):
    """Says how many things there are and which, e.g. `two shapes: square, circle, word.`"""

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        for sample in samples:
            yield Caption(sample.id, describe_briefly(sample.record))
