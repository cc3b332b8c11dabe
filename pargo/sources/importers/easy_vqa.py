"""easy-VQA -> shards: its own images and questions, and what its answers tell about each image.

An image shows one shape. `objects` holds the answers to the questions for its shape and its colour; an attribute
that nobody asked for is null.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.progress import track

SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")


def import_easy_vqa(files: Path, output: Path, max_images: int | None = None) -> None:
    """Write the splits train and test of the unpacked wheel, or only their first `max_images` images."""
    for split in ("train", "test"):
        folder = files / "easy_vqa" / "data" / split
        questions = defaultdict(list)
        for question, answer, image in json.loads((folder / "questions.json").read_text(encoding="utf-8")):
            questions[image].append((question, answer))
        images = sorted(questions)[:max_images]
        with ShardWriter(output / split) as writer:
            for image in track(images, f"Importing easy-VQA {split}"):
                data = (folder / "images" / f"{image}.png").read_bytes()
                writer.write(data, make_record(f"{image:06d}", questions[image]))


def make_record(identifier: str, turns: list[tuple[str, str]]) -> dict[str, Any]:
    """The record of one image from its questions and answers.

    Raises:
        PargoError: two answers contradict each other.
    """
    return {
        "id": identifier,
        "objects": [{"shape": _answer(identifier, turns, SHAPES), "color": _answer(identifier, turns, COLORS)}],
        "word": None,
        "conversation": [list(turn) for turn in turns],
    }


def _answer(identifier: str, turns: list[tuple[str, str]], choices: tuple[str, ...]) -> str | None:
    found = sorted({answer for _, answer in turns if answer in choices})
    if len(found) > 1:
        raise PargoError(f"easy-VQA image {identifier}: answers contradict each other: {', '.join(found)}")
    return found[0] if found else None
