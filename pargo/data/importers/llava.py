"""Images and conversations in LLaVA's layout, or with `messages` as chats are stored -> shards of the split train.

An entry holds `image`, a path below the folder of images, and `conversations`, turns from `human` and `gpt` in turn
(or `messages`, of the roles `user` and `assistant`). Entries without an image (mix665k has 40,000) and fields that
nobody reads are counted; entries that cannot be used are listed with their reasons, and too many of them are an error.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pargo.data.rgb import open_rgb
from pargo.data.shards import ShardWriter
from pargo.errors import InputError, PargoError
from pargo.files import read_json
from pargo.progress import track

PLACEHOLDER = "<image>"
KNOWN = {"id", "image", "conversations", "messages"}  # fields of an entry
SPEAKERS = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
MAX_BYTES = 200_000_000
EXTENSIONS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".gif": "gif", ".webp": "webp"}


def import_conversations(annotations: Sequence[Path], images: Path, output: Path, max_broken: float = 0.0) -> None:
    """Write the split train, `counts.json` and `broken.jsonl` (`file`, `entry`, `reason`), the entries left out.

    Args:
        annotations: JSON files, in this order; a sample's id is its place in all of them.
        images: folder that the entries' `image` starts from.
        max_broken: share of all entries that may be left out.

    Raises:
        InputError: more entries than that of another form, with a path that leaves the folder or no image there; no
            entry with an image.
        PargoError: a file cannot be read.
    """
    entries = [(path, place, entry) for path in annotations for place, entry in enumerate(_entries(path))]
    counts, unknown, broken = Counter[str](samples=0, without_image=0), Counter[str](), []
    root = images.resolve()
    with ShardWriter(output / "train") as writer:
        for number, (path, place, entry) in enumerate(track(entries, "Importing conversations")):
            try:
                if not isinstance(entry, dict):
                    raise InputError("expected a mapping with image and conversations")
                unknown.update(entry.keys() - KNOWN)
                if not entry.get("image"):
                    counts["without_image"] += 1
                    continue
                turns = _turns(entry)
                data, extension = _read(root, entry["image"])
            except PargoError as error:
                broken.append({"file": path.name, "entry": place, "reason": str(error)})
                if len(broken) > max_broken * len(entries):
                    raise InputError(
                        f"{path}, entry {place}: {error}. Entries left out: {len(broken)} of {len(entries)}; "
                        f"max_broken puts up with {max_broken:.2%}"
                    ) from None
                continue
            writer.write(data, {"id": f"{number:07d}", "file": entry["image"], "conversation": turns}, extension)
            counts.update(
                samples=1,
                questions=len(turns),
                words_asked=sum(len(question.split()) for question, _ in turns),
                words_answered=sum(len(answer.split()) for _, answer in turns),
            )
    if not counts["samples"]:
        raise InputError(f"{', '.join(map(str, annotations))}: no entry has an image")
    found = {**counts, "broken": len(broken), "unknown_fields": dict(sorted(unknown.items()))}
    (output / "counts.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with (output / "broken.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in broken)


def _entries(path: Path) -> list[Any]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of entries, each a mapping with image and conversations")
    return entries


def _read(root: Path, name: Any) -> tuple[bytes, str]:
    """The bytes of an image that can be decoded, and the name's ending."""
    if not isinstance(name, str) or PurePosixPath(name).suffix.lower() not in EXTENSIONS:
        raise InputError(f"image {name!r} is no name that ends in one of {', '.join(sorted(EXTENSIONS))}")
    try:
        path = (root / name).resolve()  # where links lead to
        if not path.is_relative_to(root):
            raise InputError(f"image {name!r} leaves the folder {root}")
        size = path.stat().st_size
        if not path.is_file() or size > MAX_BYTES:
            raise InputError(f"image {name!r} is no file of at most {MAX_BYTES:,} bytes")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise PargoError(f"cannot read image {name!r} in {root}: {error}") from error
    open_rgb(io.BytesIO(data), str(path))
    return data, EXTENSIONS[PurePosixPath(name).suffix.lower()]


def _turns(entry: dict[str, Any]) -> list[list[str]]:
    """Questions with their answers; the image stands before the first, whatever place the entry gives it.

    An answer becomes one line: in the training template a line break ends it.
    """
    turns = entry.get("conversations", entry.get("messages"))
    known = isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns)
    speakers = [str(turn.get("from", turn.get("role"))) for turn in turns] if known and turns else []
    if not speakers or [SPEAKERS.get(name) for name in speakers] != ["human", "gpt"] * (len(speakers) // 2):
        raise InputError(f"expected conversations from human and gpt in turn, got {speakers}")
    values = [turn.get("value", turn.get("content")) for turn in turns or []]
    if not all(map(_is_text, values)):
        raise InputError("expected a text as the value of every turn")
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
