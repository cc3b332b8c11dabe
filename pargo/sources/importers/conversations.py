"""Images with conversations, questions or captions, as datasets store them -> shards of the split train.

Every entry becomes a sample, is counted as one without an image (mix665k has 40,000), or is broken: listed with its
reason, and too many of them are an error. Fields that nobody reads are counted too.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from pargo.config.sources.conversations import ConversationsSource
from pargo.data.image_names import CONVERSATION, EXTENSION, is_image_name, usual_extension
from pargo.data.rgb import open_rgb
from pargo.data.shards import ShardWriter
from pargo.errors import InputError
from pargo.progress import track
from pargo.sources.importers.entries import EntryError, read_entries, short
from pargo.sources.importers.references import Reference
from pargo.sources.importers.samples import is_known, normalise
from pargo.sources.importers.summary import HOPELESS, Reasons, show
from pargo.sources.importers.turns import is_text

MAX_BYTES = 200_000_000
SHOWN = ("samples", "merged", "without_image", "system_left_out", "broken")


@dataclass
class _Row:
    """An entry: its number among all, where it stands, its image, and its turns."""

    number: int
    file: str
    place: int
    image: Reference
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
    reasons: Reasons = field(default_factory=Reasons)

    def leave_out(self, file: str, place: int, error: EntryError) -> None:
        self.broken.append({"file": file, "entry": place, "reason": str(error)})
        self.reasons.add(error.kind, f"{file}, entry {place}: {error}")
        if not self.max_broken or (len(self.broken) >= HOPELESS and not self.counts["samples"]):
            self.check()

    def check(self) -> None:
        """Raise InputError when too many entries were left out so far."""
        if len(self.broken) > self.max_broken * self.entries:
            last = self.broken[-1]
            raise InputError(
                f"{last['file']}, entry {last['entry']}: {last['reason']}. Entries left out: {len(self.broken)} of "
                f"{self.entries}; max_broken allows {self.max_broken:.2%} ({self.reasons})"
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
        InputError: more entries than `source.max_broken` are of another form, have an empty answer, or name an image
            that leaves the folder, is not there or cannot be decoded; no entry has an image; a file cannot be read.
    """
    notes, root = _Notes(source.max_broken), Path(source.images).resolve()
    with ShardWriter(output / "train") as writer:
        for row in track(_rows(source, notes), "Importing conversations"):
            try:
                data, extension = _read(root, row.image)
            except EntryError as error:
                for annotations, place in ((row.file, row.place), *row.merged):
                    notes.leave_out(annotations, place, error)
                continue
            if row.merged:
                notes.counts["merged"] += len(row.merged)
            named = is_text(row.image.name) and row.image.name  # not where the image itself stands in the entry
            name = named or f"{row.file}, entry {row.place}"
            origin = _origin(name, source.licences)
            record = {"id": f"{row.number:07d}", "file": name, "conversation": row.turns}
            if origin:
                record |= {"origin": origin, "licence": source.licences[origin]}
            writer.write(data, record, extension)
            notes.add(origin, row.turns)
    found: dict[str, Any] = {**notes.counts, "broken": len(notes.broken), "reasons": notes.reasons.counts()}
    show({name: found[name] for name in SHOWN if name in found}, notes.reasons)
    notes.check()
    if not notes.counts["samples"]:
        raise InputError(
            f"{', '.join(source.annotations)}: no entry has an image that can be used; {notes.counts['without_image']} "
            f"without an image, {len(notes.broken)} left out ({notes.reasons})"
        )
    found |= {"unknown_fields": dict(sorted(notes.unknown.items())), "origins": dict(sorted(notes.origins.items()))}
    (output / "counts.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    with (output / "broken.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in notes.broken)


def _rows(source: ConversationsSource, notes: _Notes) -> Iterator[_Row]:
    """The usable entries with an image, in order; one row an image where they are merged."""
    merged: dict[Reference, _Row] = {}
    folders = (Path(source.images).absolute(), Path(source.images).resolve())
    for path in map(Path, source.annotations):
        for place, entry in enumerate(read_entries(path)):
            number, notes.entries = notes.entries, notes.entries + 1
            try:
                if isinstance(entry, EntryError):
                    raise entry
                if isinstance(entry, dict):
                    notes.unknown.update(name for name in entry if not is_known(name))
                sample = normalise(entry)
            except EntryError as error:
                notes.leave_out(path.name, place, error)
                continue
            if sample is None:
                notes.counts["without_image"] += 1
                continue
            if sample.has_system:
                notes.counts["system_left_out"] += 1
            image = _inside(folders, sample.image)
            first = merged.get(image)
            if source.answer_hint and sample.form == "question" and not first:
                sample.turns[0][0] += f"\n{source.answer_hint}"
            row = _Row(number, path.name, place, image, sample.turns)
            if not source.merge:
                yield row
            elif first:
                first.turns += row.turns
                first.merged.append((path.name, place))
            else:
                merged[row.image] = row
    yield from merged.values()


def _inside(folders: Sequence[Path], image: Reference) -> Reference:
    """The image by its name below the folder, also where an entry gives the whole path, or begins it with `./`."""
    if not image.name:
        return image
    path = PurePosixPath(image.name)
    folder = next((folder for folder in folders if path.is_relative_to(folder)), None)
    return image._replace(name=str(path if folder is None else path.relative_to(folder)))


def _origin(image: str, licences: dict[str, str]) -> str:
    """The first folder of an image's name, where its licence is stated."""
    first = next(iter(PurePosixPath(image).parts), "")
    return first if first in licences else ""


def _read(root: Path, image: Reference) -> tuple[bytes, str]:
    """The bytes of an image that can be decoded, and what its name ends in."""
    if image.data is not None:
        where, data = f"in the entry ({len(image.data):,} bytes)", image.data
        if len(data) > MAX_BYTES:
            raise EntryError("image cannot be read", f"image {where} has more than {MAX_BYTES:,} bytes")
    else:
        where, data = _read_file(root, image.name)
    try:
        open_rgb(io.BytesIO(data), where)
    except InputError as error:
        raise EntryError("image cannot be read", str(error)) from error
    if image.data is None:
        return data, usual_extension(image.name).removeprefix(".")
    with Image.open(io.BytesIO(data)) as opened:
        return data, EXTENSION[str(opened.format)].removeprefix(".")


def _read_file(root: Path, name: str) -> tuple[str, bytes]:
    """The path and bytes of an image below `root`."""
    if not is_image_name(name, CONVERSATION):
        raise EntryError(
            "image not named", f"image {short(name)} is no name that ends in one of {', '.join(sorted(CONVERSATION))}"
        )
    try:
        path = (root / name).resolve()  # where links lead to
        if not path.is_relative_to(root):
            raise EntryError("image outside the folder", f"image {short(name)} leaves the folder {root}")
        size = path.stat().st_size
        if not path.is_file() or size > MAX_BYTES:
            raise EntryError("image cannot be read", f"image {short(name)} is no file of at most {MAX_BYTES:,} bytes")
        return str(path), path.read_bytes()
    except EntryError:  # a ValueError too
        raise
    except FileNotFoundError as error:
        raise EntryError("image not found", f"cannot read image {short(name)} in {root}: no such file") from error
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a zero byte, RuntimeError: a loop of links
        raise EntryError(
            "image cannot be read",
            f"cannot read image {short(name)} in {root}: {getattr(error, 'strerror', None) or error}",
        ) from error
