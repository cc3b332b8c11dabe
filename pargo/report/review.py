"""A page of some captions, kept and dropped, with their images: for people to look at."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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


def _all(captions: Path) -> Iterator[dict[str, Any]]:
    for name in ("captions.jsonl", "dropped.jsonl"):
        yield from read_lines(captions / name)


def review(
    settings: Settings,
    numbers: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    images: Shards,
) -> str:
    """The page of samples: one file, without scripts, and with every text escaped."""
    environment = Environment(
        loader=PackageLoader("pargo.report"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    groups = []
    for kind, rows in samples.items():
        count = numbers["num_captions"] if kind == "kept" else numbers["dropped"][kind]
        cards = [{"id": row["id"], "caption": row["caption"], "image": _thumbnail(images, row["id"])} for row in rows]
        groups.append({"kind": kind.replace("_", " "), "count": count, "cards": cards})
    return environment.get_template("review.html.j2").render(settings=settings, groups=groups)


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
