"""What is said in an entry -> turns of question and answer, in order, none of them empty, without the placeholder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pargo.sources.importers.entries import EntryError, short
from pargo.sources.importers.layouts import CAPTIONS, GPT, HUMAN, SYSTEM
from pargo.sources.importers.references import PLACEHOLDER, Reference, take_tags
from pargo.sources.importers.visible import is_visible

TOOLS = {"function_call", "function", "observation", "tool", "tool_call", "tool_calls", "tool_response", "tools"}
UNMARKED = (*CAPTIONS, "question", "texts")  # layouts whose texts do not say where the image stands
_LINE = re.compile(rf"\A(?:{PLACEHOLDER.pattern})[ \t]*(?:\n|\Z)|\n[ \t]*(?:{PLACEHOLDER.pattern})\Z")


@dataclass
class Said:
    """A message: its text (another value where it is none), and the images at its place.

    Attributes:
        places: how many tags or parts stand for an image that they name.
        holes: how many parts stand for an image that is named elsewhere.
    """

    speaker: str
    text: Any
    images: list[Reference] = field(default_factory=list)
    places: int = 0
    holes: int = 0


def turns_of(said: Sequence[Said], form: str) -> list[list[str]]:
    """Question and answer of every turn; an answer is one line, as a line break ends it in the training template.

    The first placeholder in a question is where the image stands, and goes; any other is text. System messages at the
    beginning are left out. One empty answer breaks an entry as a whole: what follows may lean on it.

    Args:
        form: the field that holds the texts.

    Raises:
        EntryError: another order of speakers; no text, or an empty one; more places for an image than one.
    """
    turns = list(said)
    while turns and turns[0].speaker == SYSTEM:
        del turns[0]
    speakers = [one.speaker for one in turns]
    if tools := TOOLS.intersection(speakers):
        raise EntryError("tool turns", f"a turn from {min(tools)}: only those from human and gpt can be trained on")
    if not speakers or speakers != [HUMAN, GPT] * (len(speakers) // 2):
        raise EntryError(
            "another order of turns", f"expected conversations from human and gpt in turn, got {short(speakers)}"
        )
    for number, one in enumerate(turns):
        if not is_text(one.text):
            raise EntryError(
                "no text", f"turn {number // 2 + 1}: expected a text as the value of every turn, got {short(one.text)}"
            )
    at_start = _take_placeholder(turns, amid=form not in UNMARKED)
    pairs = []
    for number, (asked, answered) in enumerate(zip(turns[::2], turns[1::2], strict=True), start=1):
        if not is_visible(PLACEHOLDER.sub("", take_tags(answered.text)[0])):
            raise EntryError("empty answer", f"turn {number}: the answer is empty: {short(answered.text)}")
        if not is_visible(asked.text) and not (number == 1 and (at_start or form in CAPTIONS)):
            raise EntryError("empty question", f"turn {number}: the question is empty: {short(asked.text)}")
        pairs.append([asked.text.strip(), " ".join(answered.text.split())])
    return pairs


def _take_placeholder(turns: list[Said], *, amid: bool) -> bool:
    """Take the image's placeholder, at an end of a question, out of it; was it in the first one?

    Args:
        amid: it may also stand amid the first question.

    Raises:
        EntryError: there is a second place for an image.
    """
    holes = sum(one.holes for one in turns)
    if holes + any(one.places for one in turns) > 1:
        raise EntryError("several images", "several places for one image")
    taken = next((one for one in turns if one.holes or one.places), None)
    for one in [] if taken else [one for one in turns[::2] if "<" in one.text]:
        text = one.text.strip()
        sides = [(text[: match.start()], text[match.end() :]) for match in PLACEHOLDER.finditer(text)]
        if found := next((side for side in sides if (amid and one is turns[0]) or not all(side)), None):
            if PLACEHOLDER.match(found[1].lstrip()):
                raise EntryError("several images", "several placeholders for one image")
            one.text, taken = "".join(found), one
            break
    # amid a question it is text; on a first or last line of its own it is no word of somebody's question
    if any("<" in one.text and _LINE.search(one.text.strip()) for one in turns[::2]):
        raise EntryError("several images", "several placeholders for one image")
    return taken is turns[0]


def is_text(value: Any) -> bool:
    """Text that can be written: JSON may hold halves of characters."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
