"""One tar of images as img2dataset and webdataset write them: its samples found, checked, and listed in a part.

A sample is `<key>.jpg` (or jpeg, png, webp) with `<key>.json` and `<key>.txt`, each optional, side by side; keys end as
`pargo.sources.importers.image_key` says. `<key>.a.b.jpg` is the image where no other is, with `<key>.a.b.json`. Where
all files of a key have such names, `<key>.a.b` is the key of each: `photo.1.jpg` and `photo.2.jpg` are two samples.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.data.image_names import POOL
from pargo.data.shard_index import FILES, SCHEMA
from pargo.errors import PargoError
from pargo.fetch.archives import CutOffError
from pargo.files import write_atomic
from pargo.sources.importers.image_key import escape, split_name
from pargo.sources.importers.image_record import BrokenSampleError, make_record, read_fields
from pargo.sources.tars import Member, members

IMAGES = tuple(extension.removeprefix(".") for extension in POOL)  # suffixes of a key have no dot
MAX_IMAGE = 200_000_000  # bytes
MAX_TEXT = 1_000_000  # bytes of a caption or of a JSON file
MAX_KEY = 1024  # bytes; an id may take three for each
NONE = "no image"
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
        """Part of the ids and of names of files."""
        return f"{self.origin}-{escape(self.path.stem)}"

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
    """What is in one tar; files that are `passed_over` have no key."""

    samples: int = 0
    passed_over: int = 0
    passed_over_example: str = ""
    broken: list[dict[str, str]] = field(default_factory=list)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    missing_fields: Counter[str] = field(default_factory=Counter)
    other_files: Counter[str] = field(default_factory=Counter)
    cut_off: str | None = None


def index_tar(tar: Tar, work: Path) -> dict[str, Any]:
    """Read a tar once; write its records and, as the last file, its rows of the index with what was found.

    Returns:
        The fields of `Found`.

    Raises:
        PargoError: it cannot be read, or the part not be written.
        InputError: it is refused, see `members`.
    """
    try:
        return _index(tar, work)
    except OSError as error:
        raise PargoError(f"cannot index {tar.path}: {error}") from error


def _index(tar: Tar, work: Path) -> dict[str, Any]:
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
    return vars(found)


def _samples(tar: Tar, file: BinaryIO, found: Found) -> Iterator[tuple[Member, bytes, dict[str, Any]]]:
    """The usable samples; the others are listed."""
    seen, usual = set[str](), None
    groups = _groups(tar.path, file, found)
    for key, group, cut in itertools.chain.from_iterable(itertools.starmap(_with_dots, groups)):
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
        for key, entries in itertools.groupby(_files(path, file, found), lambda entry: entry[0]):
            if pending is not None:
                yield pending
            pending = (key, [], False)
            for _, suffix, member in entries:
                pending[1].append((suffix, member))
    except CutOffError as error:
        found.cut_off = str(error)
    if pending is not None:
        yield pending[0], pending[1], found.cut_off is not None


def _with_dots(key: str, group: list[tuple[str, Member]], cut: bool) -> Iterator[_Group]:
    """The samples of a key: one, or one for each name up to its last dot, if all names have more and one image each."""
    named: dict[str, list[tuple[str, Member]]] = {}
    for suffix, member in group:
        name = member.name.removeprefix("./").rpartition(".")[0]
        named.setdefault(name, []).append((suffix.rpartition(".")[2], member))
    images = [sum(suffix in IMAGES for suffix, _ in files) for files in named.values()]
    if key in named or set(images) != {1}:
        yield key, group, cut
        return
    last = next(reversed(named))
    yield from ((name, files, cut and name == last) for name, files in named.items())


def _files(path: Path, file: BinaryIO, found: Found) -> Iterator[tuple[str, str, Member]]:
    """(key, suffix, member) of the files that have a key."""
    for member in members(path, file):
        if (parts := split_name(member.name)) is not None:
            yield *parts, member
        else:
            found.passed_over += 1
            found.passed_over_example = found.passed_over_example or ascii(member.name)[1:-1][:200]


def _choose(files: Mapping[str, Member]) -> tuple[Member, dict[str, Member]]:
    """The image of a sample, and its JSON and text by `json` and `txt`."""
    named = [suffix for suffix in files if suffix in IMAGES]
    named = named or [suffix for suffix in files if suffix.rpartition(".")[2] in IMAGES]
    if len(named) != 1:
        raise BrokenSampleError("more than one image with one key, which ends at a name's first dot" if named else NONE)
    stem = named[0].rpartition(".")[0]
    texts = {}
    for kind in ("json", "txt"):
        own = f"{stem}.{kind}" if stem else kind
        if own in files or kind in files:
            texts[kind] = files[own if own in files else kind]
    return files[named[0]], texts


def _sample(
    tar: Tar, file: BinaryIO, key: str, group: Sequence[tuple[str, Member]], found: Found
) -> tuple[Member, bytes, dict[str, Any]]:
    """Where a sample's image is, the sha256 of its bytes, and its record."""
    if len(key.encode(errors="surrogateescape")) > MAX_KEY:
        raise BrokenSampleError(f"key is longer than {MAX_KEY} bytes")
    files = dict(group)
    if len(files) != len(group):
        raise BrokenSampleError("a file is there twice")
    image, texts = _choose(files)
    if image.size == 0:
        raise BrokenSampleError("image is empty")
    if image.size > MAX_IMAGE or any(text.size > MAX_TEXT for text in texts.values()):
        raise BrokenSampleError("file is too large")
    read = (image, *texts.values())
    found.other_files.update(ascii(suffix)[1:-1][:60] for suffix, member in files.items() if member not in read)
    record = make_record(
        f"{tar.name}-{escape(key)}",
        # what is no UTF-8 in it cannot be written; the id has it
        f"{tar.path.name}/{key}".encode(errors="surrogateescape").decode(errors="backslashreplace"),
        read_fields(texts["json"].read(file)) if "json" in texts else {},
        texts["txt"].read(file) if "txt" in texts else None,
        origin=tar.origin,
        licence=tar.licence,
        nsfw=tar.nsfw,
        watermark=tar.watermark,
        unknown=found.unknown_fields,
        missing=found.missing_fields,
    )
    return image, hashlib.sha256(image.read(file)).digest(), record
