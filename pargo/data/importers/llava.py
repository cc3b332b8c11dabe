"""Images and conversations in LLaVA's layout -> shards of the split train.

An entry holds `image`, a path below the folder of images, and `conversations`, turns from `human` and `gpt` in turn.
Entries without an image (mix665k has 40,000) are left out and counted, everything else that is wrong is refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pargo.data.rgb import open_rgb
from pargo.data.shards import ShardWriter
from pargo.errors import InputError, PargoError
from pargo.files import read_json
from pargo.progress import track

PLACEHOLDER = "<image>"
MAX_BYTES = 200_000_000
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
    entries = [(path, place, entry) for path in annotations for place, entry in enumerate(_entries(path))]
    without = 0
    root = images.resolve()
    with ShardWriter(output / "train") as writer:
        for number, (path, place, entry) in enumerate(track(entries, "Importing conversations")):
            if not entry.get("image"):
                without += 1
                continue
            where = f"{path}, entry {place}"
            data, extension = _read(root, entry["image"], where)
            record = {"id": f"{number:07d}", "file": entry["image"], "conversation": _turns(entry, where)}
            writer.write(data, record, extension)
    if without == len(entries):
        raise InputError(f"{', '.join(map(str, annotations))}: no entry has an image")
    counts = {"samples": len(entries) - without, "without_image": without}
    (output / "counts.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of entries, each a mapping with image and conversations")
    return entries


def _read(root: Path, name: Any, where: str) -> tuple[bytes, str]:
    """The bytes of an image that can be decoded, and the name's ending."""
    if not isinstance(name, str) or PurePosixPath(name).suffix.lower() not in EXTENSIONS:
        raise InputError(f"{where}: image {name!r} is no name that ends in one of {', '.join(sorted(EXTENSIONS))}")
    try:
        path = (root / name).resolve()  # where links lead to
        if not path.is_relative_to(root):
            raise InputError(f"{where}: image {name!r} leaves the folder {root}")
        size = path.stat().st_size
        if not path.is_file() or size > MAX_BYTES:
            raise InputError(f"{where}: image {name!r} is no file of at most {MAX_BYTES:,} bytes")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise PargoError(f"{where}: cannot read image {name!r} in {root}: {error}") from error
    open_rgb(io.BytesIO(data), f"{path} ({where})")
    return data, EXTENSIONS[PurePosixPath(name).suffix.lower()]


def _turns(entry: dict[str, Any], where: str) -> list[list[str]]:
    """Questions with their answers; the image stands before the first, whatever place the entry gives it.

    An answer becomes one line: in the training template a line break ends it.
    """
    turns = entry.get("conversations")
    known = isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns)
    speakers = [turn.get("from") for turn in turns] if known and turns else []
    if not speakers or speakers != ["human", "gpt"] * (len(speakers) // 2):
        raise InputError(f"{where}: expected conversations from human and gpt in turn, got {speakers}")
    values = [turn.get("value") for turn in turns or []]
    if not all(map(_is_text, values)):
        raise InputError(f"{where}: expected a text as the value of every turn")
    texts = [value.replace(PLACEHOLDER, "").strip() for value in values]
    return [[question, " ".join(answer.split())] for question, answer in zip(texts[::2], texts[1::2], strict=True)]


def _is_text(value: Any) -> bool:
    """Text that can be written: JSON may hold halves of characters."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
