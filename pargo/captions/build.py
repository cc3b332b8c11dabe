"""Stage `caption`: one caption per image of a source, filtered, with statistics and a dataset card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pargo.captions.card import card, statistics
from pargo.captions.engines import ENGINES
from pargo.captions.quality import reason_to_drop
from pargo.code import import_closure
from pargo.config.base import Settings
from pargo.config.data import Captions
from pargo.data.shards import Shards
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.progress import track

NUM_EXAMPLES = 5


class CaptionSettings(Settings):
    """What this stage reads."""

    split: Literal["train", "test"]
    captions: Captions


def run(settings: CaptionSettings, source: Path, output: Path) -> None:
    """Caption one split of a source of shards.

    Writes `captions.jsonl` (`id`, `caption`), `dropped.jsonl` (`id`, `caption`, `reason`), `statistics.json` and the
    card `README.md` to `output`; both lists are in the order of the source.

    Raises:
        PargoError: the source has no such split, or the filter dropped every caption.
    """
    engine = ENGINES[settings.captions.engine]()
    shards = Shards(source / settings.split)
    kept: list[dict[str, str]] = []
    dropped: list[dict[str, str]] = []
    for identifier in track(shards.ids, f"Captioning {source.name} {settings.split}"):
        text = engine.caption(shards.record(identifier), partial(shards.load, identifier))
        reason = reason_to_drop(text, settings.captions.quality)
        if reason is None:
            kept.append({"id": identifier, "caption": text})
        else:
            dropped.append({"id": identifier, "caption": text, "reason": reason})
    reasons = Counter(row["reason"] for row in dropped)
    if not kept:
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        raise PargoError(f"{source}: the quality filter dropped all {len(dropped)} captions ({counts})")
    captions = [row["caption"] for row in kept]
    numbers = statistics(captions, reasons)
    readme = card(
        numbers,
        source=source.name,
        split=settings.split,
        engine=settings.captions.engine,
        examples=captions[:NUM_EXAMPLES],
    )
    with publish(output, settings=settings, inputs=[source], code=import_closure("pargo.captions.build")) as directory:
        _write_lines(directory / "captions.jsonl", kept)
        _write_lines(directory / "dropped.jsonl", dropped)
        (directory / "statistics.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        (directory / "README.md").write_text(readme, encoding="utf-8")


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
