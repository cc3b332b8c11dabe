"""The record of an image from what img2dataset or webdataset wrote beside it: a caption and JSON fields."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

# fields that img2dataset writes of itself; its sha256 is that of the image before it was resized
WRITTEN = ("key", "status", "error_message", "original_width", "original_height", "exif", "sha256", "md5", "sha512")


class BrokenSampleError(Exception):
    """A sample that is left out, and why, in words that samples share."""


def read_fields(data: bytes) -> dict[str, Any]:
    """The JSON object of a sample.

    Raises:
        BrokenSampleError: it is none.
    """
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BrokenSampleError("JSON cannot be read")
    return fields


def make_record(
    identifier: str,
    file: str,
    fields: Mapping[str, Any],
    caption: bytes | None,
    *,
    origin: str,
    licence: str | None,
    nsfw: str,
    watermark: str,
    unknown: Counter[str],
    missing: Counter[str],
) -> dict[str, Any]:
    """The record in the form of all sources; what a sample does not say is not in it.

    Args:
        identifier: the sample's id.
        file: its tar and key.
        fields: of its JSON file.
        caption: its text file; before a caption in the JSON file.
        origin, licence: of the pool.
        nsfw, watermark: fields that hold these probabilities.
        unknown: counts other fields by name.
        missing: counts fields of the record that it does not have, or not in a form that can be used.

    Raises:
        BrokenSampleError: text that is not UTF-8, or a status other than success.
    """
    if fields.get("status", "success") != "success":
        raise BrokenSampleError("status is not success")
    try:
        text = caption.decode() if caption is not None else fields.get("caption")
        values = {
            "alt_text": _text(text),
            "url": _text(fields.get("url")),
            "width": _size(fields.get("width")),
            "height": _size(fields.get("height")),
            "nsfw": _probability(fields.get(nsfw)),
            "watermark": _probability(fields.get(watermark)),
        }
    except UnicodeError:
        raise BrokenSampleError("text is not UTF-8") from None
    known = {"caption", "url", "width", "height", nsfw, watermark, *WRITTEN}
    unknown.update(ascii(name)[1:-1][:60] for name in fields if name not in known)
    missing.update(name for name, value in values.items() if value is None)
    values |= {"origin": origin, "licence": licence, "file": file}
    given = {name: value for name, value in values.items() if value is not None}
    return {"id": identifier, "conversation": [], **given}


def _text(value: Any) -> str | None:
    """A text without spaces around it; None for an empty one, or where it is no text.

    Raises:
        UnicodeError: it holds half of a character, as JSON may, which cannot be written.
    """
    if not isinstance(value, str) or not value.strip():
        return None
    value.encode()
    return value.strip()


def _size(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _probability(value: Any) -> float | None:
    usable = type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1
    return float(value) if usable else None
