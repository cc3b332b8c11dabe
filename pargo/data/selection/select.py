"""Stage `select`: which images of a dataset are captioned, and why each of the others is not.

The rules are applied in the order of `RULES`; the first that holds is the reason, so every image is counted once.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pargo.code import import_closure
from pargo.config.base import Name, Settings
from pargo.config.selection import Selection
from pargo.data.selection.fingerprint import read_fingerprints
from pargo.data.selection.near import as_words, first_kept, nearest
from pargo.errors import PargoError
from pargo.manifest import publish

SELECTED = "selected.parquet"
DROPPED = "dropped.parquet"
STATISTICS = "statistics.json"
RULES = (
    "unreadable",
    "too_small",
    "extreme_aspect",
    "nsfw",
    "watermark",
    "exact_duplicate",
    "contaminated",
    "near_duplicate",
    "not_drawn",
)
KEPT = -1
Rows = NDArray[np.intp]


class SelectSettings(Settings):
    """What the stage `select` reads of a config; `source` and `split` tell the images from those of benchmarks."""

    source: Name
    split: Literal["train", "test"]
    selection: Selection


@dataclass
class Choice:
    """What became of each image, by row.

    Attributes:
        rule: index into `RULES`, or `KEPT`.
        near: id of the image that it is like (`benchmark/id` of a benchmark's), by row, where there is one.
        distance: bits in which the two hashes differ.
    """

    rule: NDArray[np.int8]
    near: dict[int, str]
    distance: dict[int, int]

    def drop(self, rule: str, rows: Rows) -> None:
        self.rule[rows] = RULES.index(rule)

    def left(self) -> Rows:
        return np.flatnonzero(self.rule == KEPT)


def run(settings: SelectSettings, fingerprints: Path, benchmarks: Mapping[str, Path], output: Path) -> None:
    """Write `selected.parquet` (`id`, in the order of the source), `dropped.parquet` (`id`, `reason`, `near`,
    `distance`) and `statistics.json` (images by origin and reason).

    Args:
        fingerprints: artifact of the dataset's images.
        benchmarks: artifacts of the images that must not be among them, by name.

    Raises:
        PargoError: an artifact is not there, or no image is left.
    """
    table = read_fingerprints(fingerprints)
    others = {name: read_fingerprints(path) for name, path in benchmarks.items()}
    choice = choose(table, others, settings.selection)
    numbers = statistics(table, choice, settings.selection)
    selected = table.select(["id"]).take(pa.array(choice.left()))
    if not len(selected):
        reasons = ", ".join(f"{reason} {count}" for reason, count in numbers["dropped"].items() if count)
        raise PargoError(f"{fingerprints}: the rules of the selection dropped all {len(table)} images ({reasons})")
    inputs = [fingerprints, *benchmarks.values()]
    with publish(
        output, settings=settings, inputs=inputs, code=import_closure("pargo.data.selection.select")
    ) as directory:
        pq.write_table(selected, directory / SELECTED)
        pq.write_table(_dropped(table, choice), directory / DROPPED)
        (directory / STATISTICS).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


def choose(table: pa.Table, benchmarks: Mapping[str, pa.Table], selection: Selection) -> Choice:
    """Apply the rules to a table of fingerprints.

    An exact or near duplicate is dropped for the first image of the source that is kept; what is drawn depends on
    (seed, id) alone, not on the order of the source.
    """
    choice = Choice(np.full(len(table), KEPT, np.int8), {}, {})
    choice.drop("unreadable", np.flatnonzero(_array(pc.is_valid(table["problem"]))))
    _drop_by_value(table, selection, choice)
    if selection.exact_duplicates:
        _drop_exact(table, choice)
    _drop_contaminated(table, benchmarks, selection, choice)
    if selection.near_duplicate_distance is not None:
        rows = choice.left()
        first, bits = first_kept(_hashes(table, "phash", rows), selection.near_duplicate_distance)
        _note(choice, "near_duplicate", rows, first, bits, [table["id"][int(row)].as_py() for row in rows[first]])
    if selection.num_images is not None:
        _draw(table, selection, choice)
    return choice


def _array(column: Any) -> NDArray[Any]:
    return column.combine_chunks().to_numpy(zero_copy_only=False) if isinstance(column, pa.ChunkedArray) else column


def _drop_by_value(table: pa.Table, selection: Selection, choice: Choice) -> None:
    """What is dropped for a number of its own; a number that is not known (nan) drops nothing."""
    width, height, nsfw, watermark = (
        _array(table[name].cast(pa.float64())) for name in ("width", "height", "nsfw", "watermark")
    )
    limits: tuple[tuple[str, NDArray[Any], float | None], ...] = (
        ("too_small", -np.minimum(width, height), None if selection.min_side is None else -selection.min_side),
        ("extreme_aspect", np.maximum(width / height, height / width), selection.max_aspect_ratio),
        ("nsfw", nsfw, selection.max_nsfw),
        ("watermark", watermark, selection.max_watermark),
    )
    for rule, values, limit in limits:
        if limit is not None:
            rows = choice.left()
            choice.drop(rule, rows[values[rows] > limit])


def _drop_exact(table: pa.Table, choice: Choice) -> None:
    rows = choice.left()
    digests = table["sha256"].take(pa.array(rows)).combine_chunks()
    words = np.frombuffer(digests.buffers()[1], np.dtype((np.void, 32)))[digests.offset :][: len(digests)]
    _, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    original = first[inverse]
    twice = np.flatnonzero(original != np.arange(len(rows)))
    choice.drop("exact_duplicate", rows[twice])
    for place in twice:
        choice.near[int(rows[place])] = table["id"][int(rows[original[place]])].as_py()
        choice.distance[int(rows[place])] = 0


def _drop_contaminated(
    table: pa.Table, benchmarks: Mapping[str, pa.Table], selection: Selection, choice: Choice
) -> None:
    """What looks like an image of a benchmark, or has its bytes."""
    if selection.contamination_distance is None:
        return
    hashes, names = [], []
    for name, benchmark in benchmarks.items():
        readable = np.flatnonzero(_array(pc.is_null(benchmark["problem"])))
        hashes.append(_hashes(benchmark, "phash", readable))
        names += [f"{name}/{benchmark['id'][int(row)].as_py()}" for row in readable]
    if not names:
        return
    index = np.concatenate(hashes)
    for column in ("phash", "phash_mirrored") if selection.contamination_mirrored else ("phash",):
        rows = choice.left()
        found, bits = nearest(_hashes(table, column, rows), index, selection.contamination_distance)
        _note(choice, "contaminated", rows, found, bits, [names[row] for row in found])


def _note(choice: Choice, rule: str, rows: Rows, found: Rows, bits: NDArray[np.int64], names: list[str]) -> None:
    """Drop the rows that are like something; `found` is negative for the others."""
    for place in np.flatnonzero(found >= 0):
        choice.near[int(rows[place])], choice.distance[int(rows[place])] = names[place], int(bits[place])
    choice.drop(rule, rows[found >= 0])


def _hashes(table: pa.Table, column: str, rows: Rows) -> NDArray[np.uint64]:
    """Perceptual hashes of some rows, uint64 [n, 4]."""
    chosen = table[column].take(pa.array(rows)).combine_chunks()
    data = chosen.buffers()[1]
    return as_words(data[32 * chosen.offset : 32 * (chosen.offset + len(chosen))]) if len(chosen) else as_words(b"")


def _draw(table: pa.Table, selection: Selection, choice: Choice) -> None:
    """Keep `num_images`, shared among the origins by their weights; what one lacks the others give."""
    rows = choice.left()
    origins = _array(table["origin"])[rows]
    present = {str(origin): int(number) for origin, number in Counter(origins.tolist()).items()}
    shares = share(present, selection.weights, selection.num_images or 0)
    for origin, number in shares.items():
        own = rows[origins == origin]
        ids = table["id"].take(pa.array(own)).to_pylist()
        order = np.argsort([_rank(selection.seed, identifier) for identifier in ids], kind="stable")
        choice.drop("not_drawn", own[order[number:]])


def _rank(seed: int, identifier: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{identifier}".encode()).digest()[:8], "big") >> 1


def share(present: Mapping[str, int], weights: Mapping[str, float], total: int) -> dict[str, int]:
    """How many images each origin gives.

    Args:
        present: images of each.
        weights: of each; equal ones where the mapping is empty. One that is not named gives nothing.
        total: images wanted; fewer are given when there are no more.

    Raises:
        PargoError: a weight of an origin that has no image.
    """
    if absent := sorted(set(weights) - set(present)):
        known = ", ".join(sorted(map(repr, present))) or "none"
        raise PargoError(f"selection.weights: no image is left of {absent[0]!r}; those with images: {known}")
    wanted = dict(weights) or dict.fromkeys(present, 1.0)
    given = dict.fromkeys(present, 0)
    while open_ := [origin for origin in sorted(wanted) if given[origin] < present[origin]]:
        left = total - sum(given.values())
        if left <= 0:
            break
        sum_ = sum(wanted[origin] for origin in open_)
        for origin in open_:
            given[origin] += min(int(left * wanted[origin] / sum_), present[origin] - given[origin])
        if left == total - sum(given.values()):  # less than one each: the heaviest first
            for origin in sorted(open_, key=lambda name: (-wanted[name], name))[:left]:
                given[origin] += 1
    return given


def _dropped(table: pa.Table, choice: Choice) -> pa.Table:
    rows = np.flatnonzero(choice.rule != KEPT)
    return pa.table(
        {
            "id": table["id"].take(pa.array(rows)),
            "reason": pa.array([RULES[rule] for rule in choice.rule[rows]], pa.string()),
            "near": pa.array([choice.near.get(int(row)) for row in rows], pa.string()),
            "distance": pa.array([choice.distance.get(int(row)) for row in rows], pa.int32()),
        }
    )


def statistics(table: pa.Table, choice: Choice, selection: Selection) -> dict[str, Any]:
    """`images`, `selected` and `dropped` by reason, in all and by origin (`origins`); `benchmarks`: contaminated images
    by benchmark; `without_nsfw`: images of the pools that should have that field and lack it."""
    origins = _array(table["origin"])
    benchmarks = Counter(
        choice.near[int(row)].partition("/")[0] for row in np.flatnonzero(choice.rule == RULES.index("contaminated"))
    )
    missing = _array(pc.is_null(table["nsfw"]))
    return {
        **_count(choice.rule),
        "origins": {str(origin): _count(choice.rule[origins == origin]) for origin in sorted(set(origins.tolist()))},
        "benchmarks": dict(sorted(benchmarks.items())),
        "without_nsfw": {name: int(missing[origins == name].sum()) for name in selection.nsfw_origins},
    }


def _count(rule: NDArray[np.int8]) -> dict[str, Any]:
    return {
        "images": len(rule),
        "selected": int((rule == KEPT).sum()),
        "dropped": {name: int((rule == number).sum()) for number, name in enumerate(RULES)},
    }
