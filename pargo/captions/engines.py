"""Caption engines: from one sample to one caption. Add one by writing a class and a line in `ENGINES`.

The form is the paper's for ParGoCap: a global sentence, then partial details.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from PIL import Image

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Engine(Protocol):
    """Makes captions."""

    def caption(self, record: Mapping[str, Any], image: Callable[[], Image.Image]) -> str:
        """The caption of one sample; empty when there is nothing to say.

        Args:
            record: the sample's annotations (`id`, `objects`, `word`, `conversation`).
            image: loads the image (RGB); an engine that needs no pixels never calls it.
        """


class AnnotationsEngine:
    """Puts annotations into words: `two shapes: red square top left, blue circle bottom right, word cat top right.`

    What the annotations do not say (null) is left out.
    """

    def caption(self, record: Mapping[str, Any], image: Callable[[], Image.Image]) -> str:
        details = [_join(item["color"], item["shape"], item.get("cell")) for item in record["objects"]]
        if word := record["word"]:
            details.append(_join("word", word["text"], word.get("cell")))
        details = [detail for detail in details if detail]
        if not details:
            return ""
        count = len(record["objects"])
        number = NUMBERS[count] if count < len(NUMBERS) else str(count)
        return f"{number} shape{'' if count == 1 else 's'}: {', '.join(details)}."


class ConversationEngine:
    """The first answer of the stored conversation: for sources whose images come with captions."""

    def caption(self, record: Mapping[str, Any], image: Callable[[], Image.Image]) -> str:
        turns = record["conversation"]
        return turns[0][1] if turns else ""


def _join(*words: str | None) -> str:
    return " ".join(word for word in words if word)


ENGINES: dict[str, Callable[[], Engine]] = {"annotations": AnnotationsEngine, "conversation": ConversationEngine}
