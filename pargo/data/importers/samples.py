"""Entries of any layout in one form: an image, and turns of question and answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pargo.data.importers.entries import EntryError, short
from pargo.data.importers.layouts import CAPTIONS, GPT, HUMAN, SYSTEM, TEXTS, Message, form_of, messages_of
from pargo.data.importers.references import (
    PLACEHOLDER,
    Reference,
    clue,
    is_image_field,
    named,
    references,
    references_in,
    take_tags,
)
from pargo.data.importers.visible import is_visible

TOOLS = {"function_call", "function", "observation", "tool", "tool_call", "tool_calls", "tool_response", "tools"}
NAMES = {"id", "image_id", "question_id"}  # they name an entry
KNOWN = TEXTS | NAMES
_LINE = re.compile(rf"\A(?:{PLACEHOLDER.pattern})[ \t]*(?:\n|\Z)|\n[ \t]*(?:{PLACEHOLDER.pattern})\Z")
_IMAGE_PARTS = ("image", "image_url", "input_image")
UNMARKED = (*CAPTIONS, "question", "texts")  # layouts whose texts do not say where the image stands
_PART_FIELDS = {"type", "text"}


@dataclass(frozen=True)
class Sample:
    """What is taken of an entry.

    Attributes:
        turns: question and answer; nothing is asked for a caption.
        form: the field that holds its text.
        has_system: a system message was left out.
    """

    image: Reference
    turns: list[list[str]]
    form: str
    has_system: bool


@dataclass
class _Said:
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


def is_known(name: str) -> bool:
    """Is a field of an entry read?"""
    return name in KNOWN or is_image_field(name)


def normalise(entry: Any) -> Sample | None:
    """The sample of an entry; None for one of text alone.

    The image stands before the first question, whatever place the entry gives it: the first placeholder in a question
    is that place, any other is text. A system message is left out, as the template has no place for it. An entry with
    one empty answer is left out whole: what follows may lean on it.

    Raises:
        EntryError: another layout or order of speakers; no text, or an empty one, where there should be one; several
            images, one that is named where nobody looks, or a placeholder without an image.
    """
    if not isinstance(entry, dict):
        raise EntryError("no mapping", f"expected a mapping with an image and text, got {short(entry)}")
    images, problem, messages = references_in(entry), None, list[Message]()
    try:
        messages = messages_of(entry)
    except EntryError as error:
        problem = error
    said = [_listen(message) for message in messages]
    images = list(dict.fromkeys([*images, *(image for one in said for image in one.images)]))
    if not images:
        _check_no_image(entry, messages, said, problem)
        return None
    if len(images) > 1:
        raise EntryError("several images", f"{len(images)} images are named, of which a model takes one")
    if problem:
        raise problem
    return _sample(entry, images[0], said)


def _listen(message: Message) -> _Said:
    """The text and images of a message."""
    content = message.content
    said = _Said(message.speaker, content, references_in(message.turn))
    if isinstance(content, dict) or (isinstance(content, list) and content):
        texts = list(_parts([content] if isinstance(content, dict) else content, said))
        said.text = "\n".join(text for text in texts if text.strip())
    if message.speaker != GPT and isinstance(said.text, str):
        said.text, tags = take_tags(said.text)
        said.images += map(named, tags)
        said.places += len(tags)
    if message.speaker == GPT and (said.images or said.holes):
        raise EntryError("image in an answer", "an answer holds an image: a model answers with text")
    return said


def _parts(parts: list[Any], said: _Said) -> Iterator[str]:
    """The texts among the parts of a message; the images come into `said`."""
    for part in parts:
        if isinstance(part, str):
            yield part
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or kind not in (None, "text", "input_text", "output_text", *_IMAGE_PARTS):
            raise EntryError("part of another type", f"expected parts of text and one image, got {short(part)}")
        rest = {key: value for key, value in part.items() if key not in _PART_FIELDS}
        found = references_in(rest)
        if kind in _IMAGE_PARTS:
            found = found or references(rest)
            said.holes += not found
        said.images += found
        said.places += len(found)
        if isinstance(part.get("text"), str):
            yield part["text"]
        elif not found and kind not in _IMAGE_PARTS:
            raise EntryError("part of another type", f"expected parts of text and one image, got {short(part)}")


def _check_no_image(
    entry: Mapping[str, Any], messages: list[Message], said: list[_Said], problem: EntryError | None
) -> None:
    """Raise EntryError where an entry that names no image still tells of one."""
    if any(one.holes or (one.speaker not in (GPT, SYSTEM) and _has_placeholder(one.text)) for one in said):
        raise EntryError("image not named", "an image stands in the text, but none is named")
    # the texts of a layout that is not known may hold anything
    rest = {name: value for name, value in entry.items() if problem or name not in TEXTS}
    turns = [name for message in messages if (name := clue(message.turn))]
    if name := clue(rest, text=problem is not None) or next(iter(turns), None):
        raise EntryError("image under another name", f"{name} tells of an image, but no field that is known names it")


def _has_placeholder(text: Any) -> bool:
    return isinstance(text, str) and "<" in text and bool(PLACEHOLDER.search(text))


def _sample(entry: Mapping[str, Any], image: Reference, said: list[_Said]) -> Sample:
    form = form_of(entry) or ""
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
        # in the training template a line break ends an answer
        pairs.append([asked.text.strip(), " ".join(answered.text.split())])
    has_system = len(turns) < len(said) or bool(isinstance(entry.get("system"), str) and entry["system"].strip())
    return Sample(image, pairs, form, has_system)


def _take_placeholder(turns: list[_Said], *, amid: bool) -> bool:
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
