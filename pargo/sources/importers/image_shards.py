"""Tar files of images as img2dataset and webdataset write them -> the split train, indexed where they lie.

Each tar is read once; the images stay there, the records are written anew in the form of all sources. What was found
in a tar is kept until all are done, so that an import that was killed goes on with the next.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.code import code_hash, import_closure
from pargo.config.sources.image_shards import ImageShardsSource
from pargo.data.shard_index import write_index
from pargo.errors import InputError, PargoError
from pargo.progress import track
from pargo.sources.importers import left_out
from pargo.sources.importers.image_tar import Tar, index_tar, read_part

MAX_NAME = 200  # characters of what a tar's name becomes in ids and in names of files


def import_image_shards(source: ImageShardsSource, output: Path, work: Path) -> None:
    """Write the split train: the index and the records; `counts.json` and `broken.jsonl`, the samples left out.

    Args:
        source: folders of tar files by origin.
        output: of the source.
        work: folder that keeps what was found in a tar; removed at the end.

    Raises:
        InputError: a folder without tars, a tar that `members` refuses or whose name is too long, no sample in any, or
            more samples that cannot be used than `source.max_broken` allows; what was found is kept in `work`.
    """
    tars = _tars(source)
    work.mkdir(parents=True, exist_ok=True)
    todo = [tar for tar in tars if read_part(work, tar) is None]
    where = ", ".join(source.shards.values())
    if todo:
        _index_all(todo, work, where)
    tables, found = [], []
    for tar in tars:
        part = read_part(work, tar)
        if part is None:
            raise PargoError(f"{tar.path} changed while it was imported: run the command again")
        tables.append(part)
        found.append(json.loads(part.schema.metadata[b"found"]))
    left_out.check(found, where, source.max_broken)
    records = output / "train" / "records"
    records.mkdir(parents=True)
    for tar in tars:
        shutil.copyfile(work / f"{tar.name}.jsonl", records / f"{tar.name}.jsonl")
    table = pa.concat_tables(table.replace_schema_metadata() for table in tables)
    write_index(output / "train", table.unify_dictionaries())
    counts = _counts(source, tars, found)
    (output / "counts.json").write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with (output / "broken.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for part in found for row in part["broken"])
    shutil.rmtree(work)


def _tars(source: ImageShardsSource) -> list[Tar]:
    code = code_hash(import_closure("pargo.sources.importers.image_shards"))
    tars = []
    for origin, folder in source.shards.items():
        paths = sorted(Path(folder).absolute().glob("*.tar"))
        if not paths:
            raise InputError(f"{folder} holds no .tar files: {origin} should be a folder as img2dataset writes it")
        if wrong := [path.name for path in paths if not path.is_file()]:
            raise InputError(f"{folder}: {wrong[0]!r} is no file")
        licence, fields = source.licences.get(origin), source.fields
        tars += [Tar(path, origin, licence, fields.nsfw, fields.watermark, code) for path in paths]
    if bad := [tar.path for tar in tars if len(tar.name) > MAX_NAME]:
        raise InputError(
            f"{bad[0]}: its name and origin take more than {MAX_NAME} characters of an id (three for each byte of "
            "what is not A-Z a-z 0-9 _ -): give it a shorter name"
        )
    if bad := [tar.path for tar in tars if not str(tar.path).isprintable()]:
        raise InputError(f"{str(bad[0])!a}: the name of a tar, or of its folder, cannot be printed: give it another")
    return tars


def _index_all(tars: Sequence[Tar], work: Path, where: str) -> None:
    workers = min(len(os.sched_getaffinity(0)), len(tars))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        futures = [pool.submit(index_tar, tar, work) for tar in tars]
        try:
            found = []
            for future in track(as_completed(futures), "Indexing tars", len(tars)):
                found.append(future.result())
                left_out.check(found, where)
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
        "passed_over": sum(part["passed_over"] for part in found),
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
