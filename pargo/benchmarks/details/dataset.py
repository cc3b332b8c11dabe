"""The images of any source of shards whose records hold annotations; each is asked for a caption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pargo.benchmarks.details.facts import Names, in_small_letters
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.details import Details
from pargo.data.annotations import Facts, caption_parts, describe, facts_of
from pargo.data.shards import Shards
from pargo.errors import PargoError


def read_questions(source: Path, benchmark: Details) -> list[Question]:
    """The images of a split of which anything is known, in the order of their ids; of `max_images` the first.

    Raises:
        PargoError: no such split, a record without annotations, no image of which anything is known, or one whose
            right caption would not be read as just its facts.
    """
    folder = source / benchmark.split
    shards = Shards(folder)
    records = ((image, shards.record(image)) for image in sorted(shards.ids))
    known = ((image, record, facts_of(record, f"{folder}: image {image}")) for image, record in records)
    chosen = list(islice((row for row in known if any(row[2].values())), benchmark.max_images))
    if not chosen:
        raise PargoError(f"{folder}: no image of which its annotations say anything")
    names = Names.of(in_small_letters(facts) for _, _, facts in chosen)
    for image, record, facts in chosen:
        _check(names, describe(record), facts, f"{folder}: image {image}")
    return [_question(*row) for row in chosen]


def _check(names: Names, caption: str, facts: Facts, where: str) -> None:
    """Raise PargoError unless the right caption says just the facts that are there."""
    said, there = names.facts(caption), in_small_letters(facts)
    if wrong := [kind for kind in there if said[kind] != there[kind]]:
        raise PargoError(
            f"{where}: its right caption, {caption!r}, would not be read as its annotations: {', '.join(wrong)}; "
            "names of shapes, colors, places and words must differ and hold no punctuation and no `and`"
        )


def _question(image: str, record: Mapping[str, Any], facts: Facts) -> Question:
    spans, end = [], 0
    for part in caption_parts(record):
        end, start = end + len(part.text), end
        if part.kind is not None:
            spans.append((part.kind, start, end))
    listed = {kind: sorted(found.elements()) for kind, found in facts.items()}
    return Question(
        id=image,
        task="caption",
        image=image,
        question="",
        label=describe(record),
        details={"facts": json.dumps(listed), "spans": json.dumps(spans)},
    )
