"""Files in SEED-Bench's official layouts, made up for tests."""

import io
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image

TYPES = {
    "Scene Understanding": 1,
    "Instance Identity": 2,
    "Instance Attributes": 3,
    "Instance Location": 4,
    "Instances Counting": 5,
    "Spatial Relation": 6,
    "Instance Interaction": 7,
    "Visual Reasoning": 8,
    "Text Understanding": 9,
    "Action Recognition": 10,
}
# image questions of each dimension in version 1
COUNTS = {1: 3158, 2: 1831, 3: 4649, 4: 978, 5: 2447, 6: 657, 7: 97, 8: 331, 9: 84}


def question(number: int, kind: int = 1, **changes: Any) -> dict[str, Any]:
    fields = {
        "answer": "ABCD"[number % 4],
        "choice_a": "One",
        "choice_b": "Two",
        "choice_c": "A red cat",
        "choice_d": "A",
        "data_id": f"{number // 2}_77",
        "data_type": "image",
        "question": f"What is in image {number // 2}?",
        "question_id": str(1000 + number),
        "question_type_id": kind,
    }
    return fields | changes


def video(number: int) -> dict[str, Any]:
    return question(number, 10, data_type="video", data_id=f"{number}.webm", question_id=f"v{number}")


def annotations(questions: list[dict[str, Any]], types: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"questions": questions, "question_type": TYPES if types is None else types}


def full_size(rng: random.Random) -> dict[str, Any]:
    """14,232 image questions and some about videos, in mixed order."""
    kinds = [kind for kind, count in COUNTS.items() for _ in range(count)]
    questions = [question(number, kind, answer=rng.choice("ABCD")) for number, kind in enumerate(kinds)]
    questions += [video(number) for number in range(300)]
    rng.shuffle(questions)
    return annotations(questions)


def write(path: Path, value: Any) -> Path:
    """JSON Lines of a list, else JSON."""
    if isinstance(value, list):
        path.write_text("".join(json.dumps(line) + "\n" for line in value), encoding="utf-8")
    else:
        path.write_text(json.dumps(value), encoding="utf-8")
    return path


def image_bytes(number: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, 40, 90)).save(file, kind)
    return file.getvalue()
