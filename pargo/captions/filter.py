"""Stage `filter`: which captions of a dataset are good enough to train on, and why the others are not.

Three passes over the captions, none of which holds them in memory: the rules on single captions and the scores, then
duplicates, then writing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pargo.captions.duplicates import simhash, text_hash
from pargo.captions.quality import ALL_RULES, reason_to_drop
from pargo.captions.statistics import Statistics
from pargo.captions.thoughts import without_thoughts
from pargo.captions.units import words
from pargo.code import import_closure
from pargo.config.base import Settings
from pargo.config.quality import Quality
from pargo.data.selection.near import as_words, first_kept
from pargo.data.shards import Shards
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.progress import track

KEPT = -1


class FilterSettings(Settings):
    """What the stage `filter` reads of a config."""

    split: Literal["train", "test"]
    quality: Quality


def run(settings: FilterSettings, captions: Path, source: Path, output: Path) -> None:
    """Write `captions.jsonl` (`id`, `caption`), `dropped.jsonl` (`id`, `caption`, `reason`), both in the order of the
    captions, and `statistics.json` (see `pargo.captions.statistics`).

    Args:
        captions: artifact of the stage `caption`.
        source: artifact with the images and their records.

    Raises:
        PargoError: a file cannot be read, or no caption is left.
    """
    inputs, code = [captions, source], import_closure("pargo.captions.filter")
    local = settings.quality.local_files
    with publish(output, settings=settings, inputs=inputs, code=code, local=local) as directory:
        shards, numbers = Shards(source / settings.split), Statistics()
        reasons = _reasons(settings.quality, captions, shards)
        with (
            (directory / "captions.jsonl").open("w", encoding="utf-8") as kept,
            (directory / "dropped.jsonl").open("w", encoding="utf-8") as dropped,
        ):
            for code, row in zip(reasons, _rows(captions, settings.quality), strict=True):
                reason = None if code == KEPT else ALL_RULES[code]
                record = shards.record(row["id"])
                numbers.add(row["caption"], reason, row | {name: record.get(name) for name in ("origin", "licence")})
                known = {"id": row["id"], "caption": row["caption"]} | ({"reason": reason} if reason else {})
                print(json.dumps(known, ensure_ascii=False), file=dropped if reason else kept)
        if not numbers.kept:
            counts = ", ".join(f"{reason} {count}" for reason, count in numbers.dropped().items() if count)
            raise PargoError(f"{captions}: the quality filter dropped all {len(reasons)} captions ({counts})")
        failures = Counter(row["reason"].partition(":")[0] for row in read_lines(captions / "failures.jsonl"))
        text = json.dumps(numbers.result(dict(sorted(failures.items()))), indent=1, ensure_ascii=False)
        (directory / "statistics.json").write_text(text + "\n", encoding="utf-8")


def _reasons(quality: Quality, captions: Path, shards: Shards) -> NDArray[np.int8]:
    """For each caption the place of its rule in `ALL_RULES`, or `KEPT`."""
    reasons = []
    seen: set[bytes] = set()
    for row in track(_rows(captions, quality), f"Filtering captions of {captions.name}"):
        reason = reason_to_drop(row["caption"], quality, row)
        if reason is None and quality.exact_duplicates:
            text = text_hash(row["caption"])
            reason = "duplicate" if text in seen else None
            seen.add(text)
        reasons.append(KEPT if reason is None else ALL_RULES.index(reason))
    found = np.array(reasons, np.int8)
    if quality.near_duplicate_distance is not None:
        kept = np.flatnonzero(found == KEPT)
        rows = (row for code, row in zip(found, _rows(captions, quality), strict=True) if code == KEPT)
        hashes = b"".join(simhash(words(row["caption"])) for row in rows)
        leaders, _ = first_kept(as_words(hashes), quality.near_duplicate_distance)
        found[kept[leaders >= 0]] = ALL_RULES.index("near_duplicate")
    if quality.scorer is not None:
        from pargo.captions.scorer import similarities

        kept = np.flatnonzero(found == KEPT)
        pairs = (
            (row["id"], row["caption"])
            for code, row in zip(found, _rows(captions, quality), strict=True)
            if code == KEPT
        )
        cosines = similarities(Path(quality.scorer.directory), pairs, shards, quality.scorer.batch_size)
        mean, least = np.array(list(cosines)).reshape(-1, 2).T
        dissimilar = mean < quality.scorer.min_similarity
        if quality.scorer.min_sentence_similarity is not None:
            dissimilar |= least < quality.scorer.min_sentence_similarity
        found[kept[dissimilar]] = ALL_RULES.index("dissimilar")
    return found


def _rows(captions: Path, quality: Quality) -> Iterator[dict[str, Any]]:
    """Captions as they are judged and kept: on one line, because the training's template ends an answer there.

    `text` is the caption with its lines, `cut` says that thoughts were cut from it. What the engine got stays in the
    artifact of the stage `caption`.
    """
    for row in read_lines(captions / "captions.jsonl"):
        text = without_thoughts(row["caption"]) if quality.thoughts else row["caption"]
        yield row | {"caption": " ".join(text.split()), "text": text, "cut": text != row["caption"]}


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON Lines file, one at a time."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)
    except OSError as error:
        raise PargoError(f"cannot read {path}: {error.strerror}") from error
