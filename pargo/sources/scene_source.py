"""The `scenes` source: rendered scenes with annotations and conversations, as shards."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from pargo.data.shards import ShardWriter
from pargo.progress import track
from pargo.sources.scene_conversations import build_conversation
from pargo.sources.scenes import CELLS, Scene, draw_scene, encode_png, render


def make_record(identifier: str, scene: Scene, conversation: list[tuple[str, str]]) -> dict[str, Any]:
    """The annotations of a scene as they are stored beside its image."""
    word = scene.word
    return {
        "id": identifier,
        "objects": [{"shape": item.shape, "color": item.color, "cell": CELLS[item.cell]} for item in scene.objects],
        "word": {"text": word.text, "cell": CELLS[word.cell]} if word else None,
        "conversation": [list(turn) for turn in conversation],
    }


def write_scenes(directory: Path, *, seed: int, num_images: int, image_size: int) -> None:
    """Write `num_images` scenes with records and conversations as shards into `directory`/train."""
    with ShardWriter(directory / "train") as writer:
        for index in track(range(num_images), "Rendering scenes"):
            scene = draw_scene(seed, index)
            conversation = build_conversation(scene, Random(f"conversation-{seed}-{index}"))
            record = make_record(f"{index:06d}", scene, conversation)
            writer.write(encode_png(render(scene, image_size)), record)
