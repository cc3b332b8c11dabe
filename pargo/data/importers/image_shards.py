"""Tar files of images as img2dataset and webdataset write them -> the split train, indexed where they lie.

A sample is `<key>.jpg` (or jpeg, png, webp) with `<key>.json` and `<key>.txt`, each optional, side by side. Each tar is
read once; the image stays there, the record is written anew in the form of all sources. What was found in a tar is
kept until all are done, so that an import that was killed goes on with the next.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.code import import_closure
from pargo.config.sources import ImageShardsSource
from pargo.data.importers.image_record import BrokenSampleError, make_record, read_fields
from pargo.data.shard_index import SCHEMA, write_index
from pargo.data.shards import ID_PATTERN
from pargo.data.tars import CutOffError, Member, members
from pargo.errors import InputError, PargoError
from pargo.files import write_atomic
from pargo.manifest import code_hash
from pargo.progress import track

IMAGES = ("jpg", "jpeg", "png", "webp")
MAX_IMAGE = 200_000_000  # bytes
MAX_TEXT = 1_000_000  # bytes of a caption or of a JSON file
_STEM = re.compile(r"[A-Za-z0-9_-]{1,40}")
_Group = tuple[str, list[tuple[str, Member]], bool]


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


def import_image_shards(source: ImageShardsSource, output: Path, work: Path) -> None:
    """Write the split train: the index and the records; `counts.json` and `broken.jsonl`, the samples left out.

    Args:
        source: folders of tar files by origin.
        output: of the source.
        work: folder that keeps what was found in a tar; removed at the end.

    Raises:
        InputError: a folder without tars, a tar that `members` refuses or whose name makes no ids, no sample in any.
    """
    tars = _tars(source)
    work.mkdir(parents=True, exist_ok=True)
    todo = [tar for tar in tars if _part(work, tar) is None]
    if todo:
        _index_all(todo, work)
    records = output / "train" / "records"
    records.mkdir(parents=True)
    tables, found = [], []
    for tar in tars:
        part = _part(work, tar)
        if part is None:
            raise PargoError(f"{tar.path} changed while it was imported: run the command again")
        tables.append(part)
        found.append(json.loads(part.schema.metadata[b"found"]))
        shutil.copyfile(work / f"{tar.name}.jsonl", records / f"{tar.name}.jsonl")
    if not sum(map(len, tables)):
        raise InputError(f"{', '.join(source.shards.values())}: no sample in {len(tars)} tars")
    write_index(output / "train", pa.concat_tables(table.replace_schema_metadata() for table in tables))
    counts = _counts(source, tars, found)
    (output / "counts.json").write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with (output / "broken.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for part in found for row in part["broken"])
    shutil.rmtree(work)


def _tars(source: ImageShardsSource) -> list[Tar]:
    code = code_hash(import_closure("pargo.data.importers.image_shards"))
    tars = []
    for origin, folder in source.shards.items():
        paths = sorted(Path(folder).absolute().glob("*.tar"))
        if not paths:
            raise InputError(f"{folder} holds no .tar files: {origin} should be a folder as img2dataset writes it")
        if wrong := [path.name for path in paths if not path.is_file()]:
            raise InputError(f"{folder}: {wrong[0]!r} is no file")
        if wrong := [path.name for path in paths if not _STEM.fullmatch(path.stem)]:
            raise InputError(
                f"{folder}: {wrong[0]!r} makes no ids: at most 40 letters, digits, '_' and '-' before .tar"
            )
        licence, fields = source.licences.get(origin), source.fields
        tars += [Tar(path, origin, licence, fields.nsfw, fields.watermark, code) for path in paths]
    return tars


def _index_all(tars: Sequence[Tar], work: Path) -> None:
    workers = min(len(os.sched_getaffinity(0)), len(tars))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        futures = [pool.submit(index_tar, tar, work) for tar in tars]
        try:
            for future in track(as_completed(futures), "Indexing tars", len(tars)):
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""

    def wait() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _part(work: Path, tar: Tar) -> pa.Table | None:
    """What was found in a tar earlier, if it still holds."""
    try:
        table = pq.read_table(work / f"{tar.name}.parquet")
        stamp = json.loads(table.schema.metadata[b"stamp"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None
    return table if stamp == tar.stamp() and (work / f"{tar.name}.jsonl").is_file() else None


@dataclass
class _Found:
    """What is in one tar."""

    samples: int = 0
    broken: list[dict[str, str]] = field(default_factory=list)
    unknown_fields: Counter[str] = field(default_factory=Counter)
    missing_fields: Counter[str] = field(default_factory=Counter)
    other_files: Counter[str] = field(default_factory=Counter)
    cut_off: str | None = None


def index_tar(tar: Tar, work: Path) -> None:
    """Read a tar once; write its records and, as the last file, its rows of the index with what was found."""
    stamp, found = tar.stamp(), _Found()
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


def _samples(tar: Tar, file: BinaryIO, found: _Found) -> Iterator[tuple[Member, bytes, dict[str, Any]]]:
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


def _groups(path: Path, file: BinaryIO, found: _Found) -> Iterator[_Group]:
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
    tar: Tar, file: BinaryIO, key: str, group: Sequence[tuple[str, Member]], found: _Found
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


def _counts(source: ImageShardsSource, tars: Sequence[Tar], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was found in all tars, and where that is not what img2dataset says of its own work."""
    origins = {origin: Counter(tars=0, samples=0, broken=0) for origin in source.shards}
    totals = {name: Counter[str]() for name in ("unknown_fields", "missing_fields", "other_files")}
    differences: list[dict[str, Any]] = []
    for tar, part in zip(tars, found, strict=True):
        origins[tar.origin].update(tars=1, samples=part["samples"], broken=len(part["broken"]))
        for name, total in totals.items():
            total.update(part[name])
        count = part["samples"] + len(part["broken"])
        stated = stated_samples(tar.path)
        if any(number != count for number in stated.values()):
            differences.append({"tar": str(tar.path), "found": count, **stated})
    known = {tar.path for tar in tars}
    for folder in source.shards.values():
        others = {path.parent / f"{path.name.removesuffix('_stats.json')}.tar" for path in _stats(folder)}
        differences += [{"tar": str(path), "found": "no tar"} for path in sorted(others - known)]
    return {
        "samples": sum(origin["samples"] for origin in origins.values()),
        "origins": origins,
        "broken": Counter(row["reason"] for part in found for row in part["broken"]),
        **totals,
        "cut_off": {str(tar.path): part["cut_off"] for tar, part in zip(tars, found, strict=True) if part["cut_off"]},
        "differences": differences,
    }


def _stats(folder: str) -> list[Path]:
    return sorted(Path(folder).absolute().glob("*_stats.json"))


def stated_samples(tar: Path) -> dict[str, Any]:
    """How many samples the files beside a tar say it has: `stats` and `parquet`, where there are such files."""
    stated: dict[str, Any] = {}
    stats, parquet = tar.with_name(f"{tar.stem}_stats.json"), tar.with_suffix(".parquet")
    if stats.is_file():
        try:
            stated["stats"] = json.loads(stats.read_bytes())["successes"]
        except (OSError, ValueError, KeyError, TypeError):
            stated["stats"] = "cannot be read"
    if parquet.is_file():
        try:
            stated["parquet"] = pq.read_table(parquet, columns=["status"])["status"].to_pylist().count("success")
        except (OSError, pa.ArrowException, KeyError):
            stated["parquet"] = "cannot be read"
    return stated
