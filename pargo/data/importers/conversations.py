"""Images with conversations, questions or captions, as datasets store them -> shards of the split train.

Entries without an image (mix665k has 40,000) and fields that nobody reads are counted; entries that cannot be used are
listed with their reasons, and too many of them are an error.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pargo.config.sources import ConversationsSource
from pargo.data.importers.entries import KNOWN, image_of, read_entries, turns_of
from pargo.data.rgb import open_rgb
from pargo.data.shards import ShardWriter
from pargo.errors import InputError, PargoError
from pargo.progress import track

MAX_BYTES = 200_000_000
EXTENSIONS = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".gif": "gif", ".webp": "webp"}
HOPELESS = 1000  # entries at the beginning, none of them usable


@dataclass
class _Row:
    """An entry: its number among all, where it stands, the name of its image, and its turns."""

    number: int
    file: str
    place: int
    image: Any
    turns: list[list[str]]
    merged: list[tuple[str, int]] = field(default_factory=list)  # file and place of further entries of the image


@dataclass
class _Notes:
    """What is counted and listed on the way."""

    max_broken: float
    entries: int = 0
    counts: Counter[str] = field(default_factory=lambda: Counter(samples=0, without_image=0))
    unknown: Counter[str] = field(default_factory=Counter)
    origins: dict[str, Counter[str]] = field(default_factory=dict)
    broken: list[dict[str, Any]] = field(default_factory=list)

    def leave_out(self, file: str, place: int, reason: str) -> None:
        self.broken.append({"file": file, "entry": place, "reason": reason})
        if not self.max_broken or (len(self.broken) >= HOPELESS and not self.counts["samples"]):
            self.check()

    def check(self) -> None:
        """Raise InputError when too many entries were left out so far."""
        if len(self.broken) > self.max_broken * self.entries:
            last = self.broken[-1]
            raise InputError(
                f"{last['file']}, entry {last['entry']}: {last['reason']}. Entries left out: {len(self.broken)} of "
                f"{self.entries}; max_broken allows {self.max_broken:.2%}"
            )

    def add(self, origin: str, turns: list[list[str]]) -> None:
        found: Counter[str] = Counter(
            samples=1,
            questions=len(turns),
            words_asked=sum(len(question.split()) for question, _ in turns),
            words_answered=sum(len(answer.split()) for _, answer in turns),
        )
        self.counts.update(found)
        if origin:
            self.origins.setdefault(origin, Counter()).update(found)


def import_conversations(source: ConversationsSource, output: Path) -> None:
    """Write the split train, `counts.json` and `broken.jsonl` (`file`, `entry`, `reason`), the entries left out.

    A sample's id is the place of its (first) entry in all annotation files together.

    Raises:
        InputError: more entries than `source.max_broken` are of another form, or name an image that leaves the folder,
            is not there or cannot be decoded; no entry has an image; a file cannot be read.
    """
    notes, root = _Notes(source.max_broken), Path(source.images).resolve()
    with ShardWriter(output / "train") as writer:
        for row in track(_rows(source, notes), "Importing conversations"):
            try:
                data, extension = _read(root, row.image)
            except PargoError as error:
                for name, place in ((row.file, row.place), *row.merged):
                    notes.leave_out(name, place, str(error))
                continue
            if row.merged:
                notes.counts["merged"] += len(row.merged)
            origin = _origin(row.image, source.licences)
            record = {"id": f"{row.number:07d}", "file": row.image, "conversation": row.turns}
            if origin:
                record |= {"origin": origin, "licence": source.licences[origin]}
            writer.write(data, record, extension)
            notes.add(origin, row.turns)
    notes.check()
    if not notes.counts["samples"]:
        raise InputError(f"{', '.join(source.annotations)}: no entry has an image")
    found: dict[str, Any] = {**notes.counts, "broken": len(notes.broken)}
    found |= {"unknown_fields": dict(sorted(notes.unknown.items())), "origins": dict(sorted(notes.origins.items()))}
    (output / "counts.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with (output / "broken.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in notes.broken)


def _rows(source: ConversationsSource, notes: _Notes) -> Iterator[_Row]:
    """The usable entries with an image, in order; one row an image where they are merged."""
    merged: dict[str, _Row] = {}
    for path in map(Path, source.annotations):
        for place, entry in enumerate(read_entries(path)):
            number, notes.entries = notes.entries, notes.entries + 1
            try:
                if isinstance(entry, InputError):
                    raise entry
                if not isinstance(entry, dict):
                    raise InputError("expected a mapping with an image and text")
                notes.unknown.update(entry.keys() - KNOWN)
                image = image_of(entry)
                if image is None:
                    notes.counts["without_image"] += 1
                    continue
                first = merged.get(str(image))
                turns = turns_of(entry, None if first else source.answer_hint)
            except InputError as error:
                notes.leave_out(path.name, place, str(error))
                continue
            row = _Row(number, path.name, place, image, turns)
            if not source.merge:
                yield row
            elif first:
                first.turns += turns
                first.merged.append((path.name, place))
            else:
                merged[str(image)] = row
    yield from merged.values()


def _origin(image: str, licences: dict[str, str]) -> str:
    """The first folder of an image's name, where its licence is stated."""
    first = PurePosixPath(image).parts[0]
    return first if first in licences else ""


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
