"""Annotations, put into words: exact where the source is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pargo.captions.samples import Caption, CaptionEngine, Result, Sample
from pargo.config.engines.annotations import AnnotationsEngine
from pargo.data.annotations import describe


class Engine(CaptionEngine[AnnotationsEngine]):
    """Puts annotations into words, as `pargo.data.annotations.describe` does; what they do not say is left out."""

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        for sample in samples:
            yield Caption(sample.id, describe(sample.record))
