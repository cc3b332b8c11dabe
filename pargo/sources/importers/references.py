"""How entries name images: by fields of many names, in content parts, as structs, data URLs and tags in the text."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from pargo.data.image_names import CONVERSATION
from pargo.sources.importers.entries import EntryError, short
from pargo.sources.importers.visible import is_visible

# where an image stands in a text, as LLaVA (old and new), InternVL, XComposer, MiniCPM, MMMU, DeepSeek, Phi, Llama,
# Gemma and Qwen write it
PLACEHOLDER = re.compile(
    r"<im_start><image><im_end>|<img><image></img>|<Img><ImageHere></Img>|<ImageHere>|<image>|<image_placeholder>"
    r"|<image[_ ]\d+>|<\|image(?:_\d+)?\|>|<start_of_image>|<\|vision_start\|><\|image_pad\|><\|vision_end\|>"
)
TAG = re.compile(r"(?:Picture \d+: ?)?<img>([^<>\n]*)</img>\n?")  # Qwen-VL
# these are read together; an entry with several images has them in a list, or in numbered fields
FIELDS = re.compile(r"images?|image_?\d+")
# other names of one image: the first that an entry has is taken
OTHER_FIELDS = (
    *("image_path", "image_paths", "image_file", "image_files", "image_name", "image_filename", "img_path", "img_file"),
    *("img_name", "img", "imgs", "picture", "photo", "file_name", "filename", "image_url", "image_urls"),
    "image_base64",
)
_BYTES, _NAMES = ("bytes", "base64", "data"), ("path", "url", "file_name", "filename", "image", "image_url")
_MEDIA = re.compile(r"(?:video|audio)(?:s|(?:_(?:paths?|files?|name|url)))?")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WORDS = "image|img|picture|photo|screenshot"
_IMAGE_WORD = re.compile(rf"(?:(?<![A-Za-z])(?i:{_WORDS})|{_WORDS.title()})s?(?![a-z])")
# of any kind, also of those that nobody here reads: an entry that names one is not about text alone
_IMAGE_NAME = re.compile(
    r"data:image/.*|[^\n]{0,1000}\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|avif)(?:[?#]\S{0,1000})?", re.IGNORECASE
)


def take_tags(text: str) -> tuple[str, list[str]]:
    """A text without the tags of images, and the names in them."""
    return (TAG.sub("", text), TAG.findall(text)) if "<img>" in text else (text, [])


class Reference(NamedTuple):
    """An image: the name of its file, or what is in the file, `name` then being no more than that ("" for none)."""

    name: str
    data: bytes | None = None


def is_image_field(name: str) -> bool:
    return bool(FIELDS.fullmatch(name)) or name in OTHER_FIELDS


def references_in(fields: Mapping[str, Any]) -> list[Reference]:
    """The images that fields of an entry, a turn or a part name, each once.

    Raises:
        EntryError: one is named in a form that is not known, or by an address; or there is video or sound.
    """
    if not fields:
        return []
    if media := next((name for name in fields if _MEDIA.fullmatch(name) and not _is_empty(fields[name])), None):
        raise EntryError("video or sound", f"{media} is given: only images can be read")
    found = [one for name, value in fields.items() if FIELDS.fullmatch(name) for one in references(value)]
    for name in OTHER_FIELDS:
        if name in fields and not found:
            found = references(fields[name])
    return list(dict.fromkeys(found))


def references(value: Any) -> list[Reference]:
    """The images that a value stands for: a name, a struct or a list of these; none for null and what is empty."""
    if isinstance(value, dict) and value and all(map(PLACEHOLDER.fullmatch, value)):  # MiniCPM's {"<image_00>": path}
        value = list(value.values())
    return [_reference(one) for one in (value if isinstance(value, list | tuple) else [value]) if not _is_empty(one)]


def _reference(value: Any) -> Reference:
    if isinstance(value, str):
        return named(value)
    if isinstance(value, bytes):
        return Reference("", value)
    if isinstance(value, dict):
        if isinstance(source := value.get("source"), dict):  # Anthropic's parts
            value = source
        name = next((value[key] for key in _NAMES if not _is_empty(value.get(key))), "")
        if isinstance(name, dict):
            name = name.get("url", "")  # OpenAI's parts
        data = next((value[key] for key in _BYTES if not _is_empty(value.get(key))), None)
        if isinstance(name, str):
            if isinstance(data, str):
                return Reference(name, _decode(data))
            if isinstance(data, bytes):
                return Reference(name, data)
            if data is None and name:
                return named(name)
    raise EntryError(
        "image not named", f"image {short(value)} is no name that ends in one of {', '.join(sorted(CONVERSATION))}"
    )


def named(name: str) -> Reference:
    """What a name stands for: a file, also as a `file://` address, or the image itself (`data:image/png;base64,...`).

    Raises:
        EntryError: another address, or data that is not in base64.
    """
    if name.startswith("data:"):
        kind, _, data = name.partition(",")
        if not kind.endswith(";base64"):
            raise EntryError("image cannot be read", f"image {short(name)}: expected data in base64")
        return Reference("", _decode(data))
    if name.startswith("file://"):
        return Reference(unquote(name.removeprefix("file://").removeprefix("localhost")))
    if _ADDRESS.match(name):
        raise EntryError("image on the web", f"image {short(name)} is an address: fetch it, and name its file")
    return Reference(name)


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise EntryError("image cannot be read", f"image {short(data)} is not in base64: {error}") from error


def _is_empty(value: Any) -> bool:
    """Says nothing, as the field of an image that is not there, e.g. null, "", [] or {"bytes": null, "path": null}."""
    if value is None or value is False:
        return True
    if isinstance(value, str):
        return not is_visible(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return all(one is None or one is False or one in ("", b"") for one in value)
    return value == b""


def clue(fields: Mapping[str, Any], *, text: bool = False) -> str | None:
    """The field that seems to name an image, by its own name or its value, however deep; None when there is none.

    Args:
        text: also look for placeholders and tags in its texts.
    """
    todo: list[tuple[str, Any]] = list(fields.items())
    while todo:
        name, value = todo.pop()
        if isinstance(value, dict):
            todo += [(str(key), one) for key, one in value.items()]
        elif isinstance(value, list | tuple):
            todo += [(name, one) for one in value]
        told = isinstance(value, bytes) and bool(value)
        if isinstance(value, str):
            told = bool(_IMAGE_NAME.fullmatch(value) or (text and (PLACEHOLDER.search(value) or TAG.search(value))))
        if told or (_IMAGE_WORD.search(name) and not _is_empty(value) and value != 0):
            return name
    return None
