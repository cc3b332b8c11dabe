"""Files in POPE's official layouts, made up for tests."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

SPLITS = ("random", "popular", "adversarial")


def label(number: int, split: str = "random", **changes: Any) -> dict[str, Any]:
    """Six questions an image, as in the official files."""
    fields = {
        "question_id": number + 1,
        "image": f"COCO_val2014_{number // 6:012d}.jpg",
        "text": f"Is there a {split} thing {number % 6} in the image?",
        "label": ("yes", "no")[number % 2],
    }
    return fields | changes


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lines(rows))
    return path


def image_bytes(number: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, 40, 90)).save(file, kind)
    return file.getvalue()
