"""The images of any source of shards whose records hold annotations; each is asked for a caption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pargo.benchmarks.records import Question
from pargo.config.benchmarks.details import Details
from pargo.data.annotations import caption_parts, describe, facts_of
from pargo.data.shards import Shards
from pargo.errors import PargoError


def read_questions(source: Path, benchmark: Details) -> list[Question]:
    """The images of a split in the order of their ids, of those with `max_images` the first.

    Raises:
        PargoError: no such split, no image, or one whose record has no annotations.
    """
    shards = Shards(source / benchmark.split)
    images = islice(sorted(shards.ids), benchmark.max_images)
    questions = [
        _question(image, shards.record(image), f"{source / benchmark.split}: image {image}") for image in images
    ]
    if not questions:
        raise PargoError(f"{source / benchmark.split}: no images")
    return questions


def _question(image: str, record: Mapping[str, Any], where: str) -> Question:
    facts = {kind: sorted(found.elements()) for kind, found in facts_of(record, where).items()}
    spans, end = [], 0
    for part in caption_parts(record):
        end, start = end + len(part.text), end
        if part.kind is not None:
            spans.append((part.kind, start, end))
    if not spans:
        raise PargoError(f"{where}: its annotations say nothing")
    return Question(
        id=image,
        task="caption",
        image=image,
        question="",
        label=describe(record),
        details={"facts": json.dumps(facts), "spans": json.dumps(spans)},
    )
