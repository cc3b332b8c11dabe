"""One tar of images as img2dataset and webdataset write them: its samples found, checked, and listed in a part.

A sample is `<key>.jpg` (or jpeg, png, webp) with `<key>.json` and `<key>.txt`, each optional, side by side.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.data.importers.image_record import BrokenSampleError, make_record, read_fields
from pargo.data.shard_index import FILES, SCHEMA
from pargo.data.shards import ID_PATTERN
from pargo.data.tars import CutOffError, Member, members
from pargo.errors import PargoError
from pargo.files import write_atomic

IMAGES = ("jpg", "jpeg", "png", "webp")
MAX_IMAGE = 200_000_000  # bytes
MAX_TEXT = 1_000_000  # bytes of a caption or of a JSON file
_Group = tuple[str, list[tuple[str, Member]], bool]  # key, files by suffix, does the tar end in it?


@dataclass(frozen=True)
class Tar:
    """A tar to index, and what is said of its origin."""

    path: Path
    origin: str
    licence: str | None
    nsfw: str
    watermark: str
    code: str

    @property
    def name(self) -> str:
        return f"{self.origin}-{self.path.stem}"

    def stamp(self) -> dict[str, Any]:
        """What a part was made of: another stamp makes it again."""
        status = self.path.stat()
        return asdict(self) | {"path": str(self.path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def read_part(work: Path, tar: Tar) -> pa.Table | None:
    """What was found in a tar earlier, if it still holds."""
    try:
        table = pq.read_table(work / f"{tar.name}.parquet", read_dictionary=list(FILES))
        stamp = json.loads(table.schema.metadata[b"stamp"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None
    return table if stamp == tar.stamp() and (work / f"{tar.name}.jsonl").is_file() else None


@dataclass
class Found:
    """What is in one tar."""

    samples: int = 0
    broken: list[dict[str, str]] = field(default_factory=list)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    missing_fields: Counter[str] = field(default_factory=Counter)
    other_files: Counter[str] = field(default_factory=Counter)
    cut_off: str | None = None


def index_tar(tar: Tar, work: Path) -> None:
    """Read a tar once; write its records and, as the last file, its rows of the index with what was found.

    Raises:
        PargoError: it cannot be read, or the part not be written.
        InputError: it is refused, see `members`.
    """
    try:
        _index(tar, work)
    except OSError as error:
        raise PargoError(f"cannot index {tar.path}: {error}") from error


def _index(tar: Tar, work: Path) -> None:
    stamp, found = tar.stamp(), Found()
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    lines: list[bytes] = []
    with tar.path.open("rb") as file:
        offset = 0
        for member, digest, record in _samples(tar, file, found):
            line = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
            place = (member.offset, member.size, offset, len(line))
            row = (record["id"], str(tar.path), f"records/{tar.name}.jsonl", *place, digest)
            for name, value in zip(SCHEMA.names, row, strict=True):
                columns[name].append(value)
            lines.append(line + b"\n")
            offset += len(line) + 1
    found.samples = len(lines)
    metadata = {"stamp": json.dumps(stamp), "found": json.dumps(vars(found))}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=SCHEMA.with_metadata(metadata)), sink)
    write_atomic(work / f"{tar.name}.jsonl", b"".join(lines))
    write_atomic(work / f"{tar.name}.parquet", sink.getvalue().to_pybytes())


def _samples(tar: Tar, file: BinaryIO, found: Found) -> Iterator[tuple[Member, bytes, dict[str, Any]]]:
    """The usable samples; the others are listed."""
    seen, usual = set[str](), None
    for key, group, cut in _groups(tar.path, file, found):
        suffixes = sorted(suffix for suffix, _ in group)
        usual = usual or suffixes
        try:
            if cut and suffixes != usual:
                raise BrokenSampleError("cut off")
            if key in seen:
                raise BrokenSampleError("key is there twice")
            seen.add(key)
            yield _sample(tar, file, key, group, found)
        except BrokenSampleError as error:
            found.broken.append({"tar": str(tar.path), "key": ascii(key)[1:-1], "reason": str(error)})


def _groups(path: Path, file: BinaryIO, found: Found) -> Iterator[_Group]:
    """(key, [(suffix, member)], is it the last before a cut?) of files that stand side by side with one key."""
    pending: _Group | None = None
    try:
        for key, entries in groupby(members(path, file), _key):
            if pending is not None:
                yield pending
            pending = (key, [], False)
            for entry in entries:
                pending[1].append((entry.name.rpartition("/")[2].partition(".")[2].lower(), entry))
    except CutOffError as error:
        found.cut_off = str(error)
    if pending is not None:
        yield pending[0], pending[1], found.cut_off is not None


def _key(member: Member) -> str:
    """webdataset's: the path up to the first dot of the file's name."""
    folder, slash, name = member.name.removeprefix("./").rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0]}"


def _sample(
    tar: Tar, file: BinaryIO, key: str, group: Sequence[tuple[str, Member]], found: Found
) -> tuple[Member, bytes, dict[str, Any]]:
    """Where a sample's image is, the sha256 of its bytes, and its record."""
    files = dict(group)
    images = [suffix for suffix, _ in group if suffix in IMAGES]
    identifier = f"{tar.name}-{key.replace('/', '_')}"
    if not ID_PATTERN.fullmatch(identifier):
        raise BrokenSampleError("key is no part of an id")
    if len(images) != 1 or len(files) != len(group):
        raise BrokenSampleError("no image" if not images else "a file is there twice")
    image, texts = files[images[0]], [files[suffix] for suffix in ("json", "txt") if suffix in files]
    if image.size == 0:
        raise BrokenSampleError("image is empty")
    if image.size > MAX_IMAGE or any(text.size > MAX_TEXT for text in texts):
        raise BrokenSampleError("file is too large")
    found.other_files.update(ascii(suffix)[1:-1][:60] for suffix in files if suffix not in (*IMAGES, "json", "txt"))
    record = make_record(
        identifier,
        f"{tar.path.name}/{key}",
        read_fields(files["json"].read(file)) if "json" in files else {},
        files["txt"].read(file) if "txt" in files else None,
        origin=tar.origin,
        licence=tar.licence,
        nsfw=tar.nsfw,
        watermark=tar.watermark,
        unknown=found.unknown_fields,
        missing=found.missing_fields,
    )
    return image, hashlib.sha256(image.read(file)).digest(), record
