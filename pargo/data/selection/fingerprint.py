"""Stage `fingerprint`: every image of a split is read once, and what selection has to know of it is written down.

Parts of a thousand images are kept in the run directory as they are finished, so a killed run goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.code import code_hash, import_closure
from pargo.config.base import Settings, canonical_json
from pargo.data.images import ImageSet, open_images
from pargo.data.rgb import open_rgb
from pargo.data.selection.phash import NUM_BYTES, perceptual_hashes
from pargo.data.shards import Shards
from pargo.errors import PargoError
from pargo.files import sha256_file, sha256_text
from pargo.layout import manifest_path
from pargo.manifest import publish
from pargo.progress import track

FINGERPRINTS = "fingerprints.parquet"
PART_SIZE = 1000  # images
OTHERS = 3  # unfinished runs, of other code or another source, whose parts stay
CODE = "pargo.data.selection.fingerprint"
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("sha256", pa.binary(32)),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("phash", pa.binary(NUM_BYTES)),
        pa.field("phash_mirrored", pa.binary(NUM_BYTES)),
        pa.field("nsfw", pa.float64()),
        pa.field("watermark", pa.float64()),
        pa.field("problem", pa.string()),
    ]
)
_ADDRESS = re.compile(r" ?<[^<>]* object at 0x[0-9a-f]+>")  # in errors of PIL: differs from run to run


class FingerprintSettings(Settings):
    """What the stage `fingerprint` reads of a config."""

    split: Literal["train", "test"]


def run(settings: FingerprintSettings, source: Path, output: Path, run_directory: Path) -> None:
    """Write `fingerprints.parquet`, a row per image in the order of the source (see `fingerprint`).

    Args:
        settings: see the class.
        source: artifact with the images, shards or a folder of files.
        output: artifact directory to publish.
        run_directory: keeps finished parts, which a later run does not read again.

    Raises:
        PargoError: the source has no such split, or a process was killed; an unreadable image raises nothing.
    """
    images = open_images(source, settings.split)
    parts = _parts(settings, source, run_directory)
    number = math.ceil(len(images.ids) / PART_SIZE)
    todo = [part for part in range(number) if not _name(parts, part).exists()]
    if len(todo) < number:
        print(f"going on after {number - len(todo)} finished parts of {number}", flush=True)
    title = f"Fingerprints of {source.name} {settings.split}, parts"
    workers = min(len(os.sched_getaffinity(0)), len(todo))
    if workers <= 1:
        for part in track(todo, title, len(todo)):
            _write_part(images, part, PART_SIZE, parts)
    else:
        with ProcessPoolExecutor(workers, get_context("spawn"), _keep_images, (images,)) as pool:
            futures = [pool.submit(_write_part_of_kept, part, PART_SIZE, parts) for part in todo]
            try:
                for future in track(as_completed(futures), title, len(todo)):
                    future.result()
            except BrokenProcessPool:
                raise PargoError(
                    f"{source}: a process that reads images was killed (out of memory?); run again to go on, on fewer "
                    f"than {workers} cores"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)
    with (
        publish(output, settings=settings, inputs=[source], code=import_closure(CODE)) as directory,
        pq.ParquetWriter(directory / FINGERPRINTS, SCHEMA) as writer,
    ):
        for part in range(number):
            writer.write_table(pq.read_table(_name(parts, part)))
        writer.close()  # before the files are hashed
    shutil.rmtree(parts)


def read_fingerprints(directory: Path) -> pa.Table:
    """The table of an artifact of this stage.

    Raises:
        PargoError: it is not there, or another kind of table.
    """
    path = directory / FINGERPRINTS
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise PargoError(f"{path} does not exist: the stage `fingerprint` has not run") from None
    except (pa.ArrowException, OSError) as error:
        raise PargoError(f"cannot read {path}: {error}") from error
    if not table.schema.equals(SCHEMA):
        raise PargoError(f"{path} has the columns {table.schema.names}, not those of a table of fingerprints")
    return table


def fingerprint(images: ImageSet, identifier: str) -> dict[str, Any]:
    """One image's row of the fingerprints: its hashes and its size, or why it cannot be read.

    `width` and `height` are those of the stored image, upright; `origin`, `nsfw` and `watermark` are what the sample's
    record says, "" and null where it says nothing (or no number). Whatever is wrong with an image is its `problem`.
    """
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {"id": identifier, "origin": ""}
    try:
        if isinstance(images, Shards):
            record = images.record(identifier)
            row |= {"origin": str(record.get("origin") or "")}
            row |= {field: _number(record.get(field)) for field in ("nsfw", "watermark")}
        data = images.read(identifier)
        row["sha256"] = hashlib.sha256(data).digest()
        image = open_rgb(io.BytesIO(data), identifier)
        hashes = perceptual_hashes(image)
    except Exception as error:  # decoders raise anything for a damaged file, and one file must not end a week's work
        text = str(error) if isinstance(error, PargoError) else f"{type(error).__name__}: {error}"
        return row | {"problem": _ADDRESS.sub("", text)}
    return row | {
        "width": image.width,
        "height": image.height,
        "phash": hashes.upright,
        "phash_mirrored": hashes.mirrored,
    }


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None


def _parts(settings: FingerprintSettings, source: Path, run_directory: Path) -> Path:
    """The folder of finished parts, named by all that they depend on.

    The parts of some unfinished runs of anything else stay, for an edit that is undone; older ones are removed.
    """
    inputs = {"split": settings.split, "source": sha256_file(manifest_path(source))}
    spec = sha256_text(canonical_json(inputs | {"code": code_hash(import_closure(CODE))}))
    folder = run_directory / f"parts-{spec[:16]}"
    others = [path for path in run_directory.glob("parts-*") if path != folder]
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-OTHERS]:
        shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _name(parts: Path, part: int) -> Path:
    return parts / f"{part:06d}.parquet"


def _write_part(images: ImageSet, part: int, size: int, parts: Path) -> None:
    ids: Sequence[str] = images.ids
    begin = part * size
    rows = [fingerprint(images, ids[row]) for row in range(begin, min(begin + size, len(ids)))]
    path = _name(parts, part)
    temporary = path.with_name(f".{path.name}")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)
    temporary.replace(path)


_images: ImageSet | None = None  # of a worker process


def _keep_images(images: ImageSet) -> None:
    global _images
    _images = images


def _write_part_of_kept(part: int, size: int, parts: Path) -> None:
    assert _images is not None
    _write_part(_images, part, size, parts)
