"""A page of some images that were left out, and some captions, kept and dropped: for people to look at."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined

from pargo.captions.filter import read_lines
from pargo.config.base import Settings
from pargo.data.shards import Shards
from pargo.errors import PargoError

NUM_SHOWN = 8  # captions of each kind
THUMBNAIL = 160  # pixels


def shown(captions: Path, seed: str) -> dict[str, list[dict[str, Any]]]:
    """Some captions of each kind: kept, and dropped by each rule; always the same ones, wherever they stand."""
    kinds: dict[str, list[tuple[bytes, dict[str, Any]]]] = {"kept": []}
    for row in _all(captions):
        rank = hashlib.sha256(f"{seed}/{row['id']}".encode()).digest()
        some = kinds.setdefault(row.get("reason", "kept"), [])
        some.append((rank, row))
        if len(some) > 50 * NUM_SHOWN:
            some.sort(key=lambda pair: pair[0])
            del some[NUM_SHOWN:]
    chosen = {kind: sorted(some, key=lambda pair: pair[0])[:NUM_SHOWN] for kind, some in kinds.items()}
    return {kind: [row for _, row in some] for kind, some in chosen.items()}


def left_out(dropped: Path, seed: str) -> dict[str, list[dict[str, Any]]]:
    """Some images of each reason why they are not captioned; always the same ones. None where there is no such file.

    Args:
        dropped: of the stage `select`: rows of `id`, `reason`, `near` (what an image is like) and `distance`.
    """
    kinds: dict[str, list[tuple[bytes, dict[str, Any]]]] = {}
    for batch in pq.ParquetFile(dropped).iter_batches() if dropped.exists() else ():
        for row in batch.to_pylist():
            some = kinds.setdefault(row["reason"], [])
            some.append((hashlib.sha256(f"{seed}/{row['id']}".encode()).digest(), row))
            if len(some) > 50 * NUM_SHOWN:
                some.sort(key=lambda pair: pair[0])
                del some[NUM_SHOWN:]
    chosen = {kind: sorted(some, key=lambda pair: pair[0])[:NUM_SHOWN] for kind, some in sorted(kinds.items())}
    return {kind: [row for _, row in some] for kind, some in chosen.items()}


def _all(captions: Path) -> Iterator[dict[str, Any]]:
    for name in ("captions.jsonl", "dropped.jsonl"):
        yield from read_lines(captions / name)


def review(
    settings: Settings,
    numbers: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    images: Shards,
    selection: Mapping[str, Any],
    dropped: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """The page of samples: one file, without scripts, and with every text escaped.

    Args:
        numbers: statistics of the stage `filter`.
        samples: as `shown` gives them.
        selection: statistics of the stage `select`.
        dropped: as `left_out` gives them.
    """
    environment = Environment(
        loader=PackageLoader("pargo.report"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    without = []
    for kind, rows in dropped.items():
        cards = [{"id": row["id"], "near": _near(row), "image": _thumbnail(images, row["id"])} for row in rows]
        without.append({"kind": kind.replace("_", " "), "count": selection["dropped"][kind], "cards": cards})
    groups = []
    for kind, rows in samples.items():
        count = numbers["num_captions"] if kind == "kept" else numbers["dropped"][kind]
        cards = [{"id": row["id"], "caption": row["caption"], "image": _thumbnail(images, row["id"])} for row in rows]
        groups.append({"kind": kind.replace("_", " "), "count": count, "cards": cards})
    return environment.get_template("review.html.j2").render(settings=settings, groups=groups, without=without)


def _near(row: Mapping[str, Any]) -> str:
    """What an image is like; empty where that is not why it was left out."""
    if not row["near"]:
        return ""
    return f"like {row['near']}" + (f", {row['distance']} of 256 bits differ" if row["distance"] is not None else "")


def _thumbnail(images: Shards, identifier: str) -> str | None:
    """A small JPEG as a data URI; None for an image that cannot be read."""
    try:
        image = images.load(identifier)
    except PargoError:
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
