"""What the tests of captions share: a small source of scenes, its selection, and settings of a server on loopback."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pargo.captions.build import CaptionSettings
from pargo.config.captions import Captions
from pargo.config.engines.openai import OpenAIEngine
from pargo.data.shards import ShardWriter
from pargo.manifest import publish
from pargo.sources.scenes import draw_scene, encode_png, render

KEY = "sk-" + "secret0123456789" * 2
KEY_NAME = "CAPTION_KEY"


def record(*objects: str, word: str | None = None) -> dict:
    """Annotations from words: `red square top left`; `-` is unknown."""
    parts = [[None if part == "-" else part for part in text.split(maxsplit=2)] for text in objects]
    return {
        "objects": [dict(zip(("color", "shape", "cell"), part, strict=False)) for part in parts],
        "word": dict(zip(("text", "cell"), word.split(maxsplit=1), strict=True)) if word else None,
        "conversation": [],
    }


def write_source(directory: Path, records: list[dict], image: bytes = b"") -> Path:
    """A source of shards; its path."""
    with publish(directory, settings={}) as folder, ShardWriter(folder / "train") as writer:
        for index, annotations in enumerate(records):
            writer.write(image, annotations | {"id": f"{index:06d}"})
    return directory


def write_images(directory: Path, count: int, damaged: tuple[int, ...] = ()) -> Path:
    """A source of scenes that differ; some of them cannot be read."""
    with publish(directory, settings={}) as folder, ShardWriter(folder / "train") as writer:
        for index in range(count):
            image = encode_png(render(draw_scene(0, index % 50), 48))
            data = b"no image" if index in damaged else image
            writer.write(data, {"id": f"{index:06d}", "conversation": [], "alt_text": f"alt {index}"})
    return directory


def write_selection(directory: Path, ids: list[str]) -> Path:
    with publish(directory, settings={}) as folder:
        pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), folder / "selected.parquet")
    return directory


def all_ids(count: int) -> list[str]:
    return [f"{index:06d}" for index in range(count)]


def server_settings(url: str, **changes) -> CaptionSettings:
    fields = {
        "kind": "openai",
        "base_url": url,
        "model": "vlm",
        "api_key_environment": KEY_NAME,
        "timeout": 2.0,
        "num_threads": 32,
        "max_tries": 8,
        "max_wait": 2.0,
    }
    captions = {key: changes.pop(key) for key in ("num_shards", "max_failures") if key in changes}
    return CaptionSettings(split="train", captions=Captions(engine=OpenAIEngine(**fields | changes), **captions))
