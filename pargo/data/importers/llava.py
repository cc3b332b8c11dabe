"""Images and conversations in LLaVA's layout -> shards of the split train.

An entry holds `image`, a path below the folder of images, and `conversations`, turns from `human` and `gpt` in turn.
Entries without an image (mix665k has 40,000) are left out and counted, everything else that is wrong is refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pargo.data.rgb import open_rgb
from pargo.data.shards import ShardWriter
from pargo.errors import InputError, PargoError
from pargo.files import read_json
from pargo.progress import track

PLACEHOLDER = "<image>"
EXTENSIONS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".gif": "gif", ".webp": "webp"}


def import_conversations(annotations: Sequence[Path], images: Path, output: Path) -> None:
    """Write the split train and `counts.json` (samples, and entries without an image).

    Args:
        annotations: JSON files, in this order; a sample's id is its place in all of them.
        images: folder that the entries' `image` starts from.

    Raises:
        InputError: an entry of another form, a path that leaves the folder, or a file that is no image.
        PargoError: a file cannot be read.
    """
    entries = [(f"{path}, entry {place}", entry) for path in annotations for place, entry in _entries(path)]
    without = 0
    with ShardWriter(output / "train") as writer:
        for number, (where, entry) in enumerate(track(entries, "Importing conversations")):
            if not entry.get("image"):
                without += 1
                continue
            data, extension = _read(images, entry["image"], where)
            record = {"id": f"{number:07d}", "file": entry["image"], "conversation": _turns(entry, where)}
            writer.write(data, record, extension)
    if without == len(entries):
        raise InputError(f"{', '.join(map(str, annotations))}: no entry has an image")
    counts = {"samples": len(entries) - without, "without_image": without}
    (output / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of entries, each a mapping with image and conversations")
    return enumerate(entries)


def _read(images: Path, name: str, where: str) -> tuple[bytes, str]:
    """The bytes of an image that can be decoded, and the name's ending."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in EXTENSIONS:
        raise InputError(f"{where}: image {name!r} leaves the folder or is none of {', '.join(sorted(EXTENSIONS))}")
    try:
        data = (images / path).read_bytes()
    except OSError as error:
        raise PargoError(f"{where}: cannot read {images / path}: {error.strerror}") from error
    open_rgb(io.BytesIO(data), f"{images / path} ({where})")
    return data, EXTENSIONS[path.suffix.lower()]


def _turns(entry: dict[str, Any], where: str) -> list[list[str]]:
    """Questions with their answers; the image stands before the first, whatever place the entry gives it."""
    turns = entry.get("conversations") or []
    speakers = [turn.get("from") for turn in turns]
    if not speakers or len(speakers) % 2 or speakers != ["human", "gpt"] * (len(speakers) // 2):
        raise InputError(f"{where}: expected conversations from human and gpt in turn, got {speakers}")
    values = [str(turn.get("value", "")).replace(PLACEHOLDER, "").strip() for turn in turns]
    return [list(pair) for pair in zip(values[::2], values[1::2], strict=True)]
