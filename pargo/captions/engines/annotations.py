"""Annotations, put into words: exact where the source is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pargo.captions.samples import Caption, CaptionEngine, Result, Sample
from pargo.config.engines.annotations import AnnotationsEngine

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Engine(CaptionEngine[AnnotationsEngine]):
    """Puts annotations into words: `two shapes: red square top left, blue circle bottom right, word cat top right.`

    The form is the paper's for ParGoCap: a global sentence, then partial details. What the annotations do not say
    (null) is left out.
    """

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        for sample in samples:
            yield Caption(sample.id, describe(sample.record))


def describe(record: Mapping[str, Any]) -> str:
    """The caption of a record's `objects` and `word`; empty when there is nothing to say."""
    details = [_join(item["color"], item["shape"], item.get("cell")) for item in record["objects"]]
    if word := record["word"]:
        details.append(_join("word", word["text"], word.get("cell")))
    details = [detail for detail in details if detail]
    if not details:
        return ""
    count = len(record["objects"])
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"{number} shape{'' if count == 1 else 's'}: {', '.join(details)}."


def _join(*words: str | None) -> str:
    return " ".join(word for word in words if word)
