"""Entries of any layout in one form: an image, and turns of question and answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pargo.sources.importers.entries import EntryError, short
from pargo.sources.importers.layouts import GPT, SYSTEM, TEXTS, Message, form_of, messages_of
from pargo.sources.importers.references import (
    PLACEHOLDER,
    Reference,
    clue,
    is_image_field,
    named,
    references,
    references_in,
    take_tags,
)
from pargo.sources.importers.turns import Said, turns_of
from pargo.sources.importers.visible import is_visible

NAMES = {"id", "image_id", "question_id"}  # they name an entry
KNOWN = TEXTS | NAMES
_IMAGE_PARTS = ("image", "image_url", "input_image")
_PART_FIELDS = {"type", "text", "index"}  # `index`: of TRL's parts, whose image is in another field


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


def is_known(name: str) -> bool:
    """Is a field of an entry read?"""
    return name in KNOWN or is_image_field(name)


def normalise(entry: Any) -> Sample | None:
    """The sample of an entry; None for one of text alone.

    The image stands before the first question, whatever place the entry gives it. A system message is left out, as the
    template has no place for it.

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
    system = entry.get("system")
    has_system = said[0].speaker == SYSTEM or (isinstance(system, str) and is_visible(system))
    form = form_of(entry) or ""
    return Sample(images[0], turns_of(said, form), form, has_system)


def _listen(message: Message) -> Said:
    """The text and images of a message."""
    content = message.content
    said = Said(message.speaker, content, references_in(message.turn))
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


def _parts(parts: list[Any], said: Said) -> Iterator[str]:
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
    entry: Mapping[str, Any], messages: list[Message], said: list[Said], problem: EntryError | None
) -> None:
    """Raise EntryError where an entry that names no image still tells of one."""
    if any(one.holes or (one.speaker not in (GPT, SYSTEM) and _has_placeholder(one.text)) for one in said):
        raise EntryError("image not named", "an image stands in the text, but none is named")
    if form_of(entry) == "caption":
        raise EntryError("image not named", "a caption is given, but no image is named")
    # the texts of a layout that is not known may hold anything
    rest = {name: value for name, value in entry.items() if problem or name not in TEXTS}
    turns = [name for message in messages if (name := clue(message.turn))]
    if name := clue(rest, text=problem is not None) or next(iter(turns), None):
        raise EntryError("image under another name", f"{name} tells of an image, but no field that is known names it")


def _has_placeholder(text: Any) -> bool:
    return isinstance(text, str) and "<" in text and bool(PLACEHOLDER.search(text))
