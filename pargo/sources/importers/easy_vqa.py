"""easy-VQA -> shards: its own images and questions, and what its answers tell about each image.

An image shows one shape. `objects` holds what questions and answers tell of its shape and its colour: `what color is
the triangle?` tells the shape, and so does `is there not a triangle?` with the answer no. What is not told is null.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.progress import track

SHAPES = ("circle", "rectangle", "triangle")
COLORS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
_WORD = re.compile(r"[a-z]+")


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
        "objects": [{"shape": _told(identifier, turns, SHAPES), "color": _told(identifier, turns, COLORS)}],
        "word": None,
        "conversation": [list(turn) for turn in turns],
    }


def _told(identifier: str, turns: list[tuple[str, str]], choices: tuple[str, ...]) -> str | None:
    """Which of the choices the image has: one that a turn says it has, or the only one left."""
    there, absent = set[str](), set[str]()
    for question, answer in turns:
        words = set(_WORD.findall(question.lower()))
        there.update({answer}.intersection(choices))
        # an open question names what is there; one with `not` is answered yes if it is not
        has = answer not in ("yes", "no") or (answer == "yes") != bool(words & {"not", "no"})
        (there if has else absent).update(words.intersection(choices))
    if len(there) > 1 or there & absent:
        said = ", ".join(sorted(there))
        raise PargoError(f"easy-VQA image {identifier}: answers contradict each other: {said}")
    left = there or set(choices) - absent
    return left.pop() if len(left) == 1 else None
