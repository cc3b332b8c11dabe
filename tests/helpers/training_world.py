"""Tiny artifacts to train on: a random Llama, random features, captions and conversations; with real manifests."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pargo.config.base import canonical_json
from pargo.data.feature_store import write_features
from pargo.data.shards import ShardWriter
from pargo.manifest import publish
from pargo.sources.random_models import write_random_language

NUM_IMAGES = 24


@dataclass(frozen=True)
class World:
    """Paths of the artifacts, and settings that fit them."""

    root: Path

    def settings(self, stage: str, **train: Any) -> str:
        """Canonical JSON of a stage's settings; `train` changes its training part."""
        base = {
            "mixture": {"scenes": 1.0},
            "num_samples": 48,
            "batch_size": 8,
            "micro_batch_size": 8,
            "learning_rate": 1e-3,
            "checkpoint_interval": 2,
        }
        lora = {"rank": 4, "alpha": 8, "learning_rate": 5e-4, "dropout": 0.1}
        extra = {"lora": lora, "max_turns": 2} if stage == "finetune" else {}
        own = {"shuffle_turns": ["scenes"]} if stage == "finetune" else {}
        settings = {
            "seed": 0,
            "vision": {
                "source": "v",
                "architecture": "none",
                "image_size": 32,
                "num_patches": 16,
                "feature_size": 8,
            },
            "language": {"source": "l", "precision": "fp32"},
            "projector": {
                "name": "pargo",
                "num_partial_tokens": 4,
                "num_global_tokens": 1,
                "hidden_size": 16,
                "num_layers": 2,
                "num_heads": 2,
                "intermediate_size": 32,
            },
            "train": base | extra | train,
        }
        return canonical_json(settings | {"splits": {"scenes": "train"}} | own)

    def arguments(self, stage: str) -> dict[str, Any]:
        """The stage's inputs."""
        features = {"scenes": self.root / "features"}
        if stage == "pretrain":
            return {
                "language": self.root / "language",
                "captions": {"scenes": self.root / "captions"},
                "features": features,
            }
        return {
            "language": self.root / "language",
            "pretrained": self.root / "pretrained",
            "sources": {"scenes": self.root / "source"},
            "features": features,
        }


def make_world(root: Path) -> World:
    """Make the artifacts."""
    ids = [f"{index:04d}" for index in range(NUM_IMAGES)]
    colors = ["red", "green", "blue"]
    with publish(root / "language", settings={}) as directory:
        write_random_language(directory, hidden_size=32, num_layers=2, num_heads=2, seed=0)
    with publish(root / "captions", settings={}) as directory:
        rows = [{"id": name, "caption": f"a {colors[index % 3]} dot"} for index, name in enumerate(ids)]
        (directory / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with publish(root / "features", settings={}) as directory:
        features = torch.randn(NUM_IMAGES, 16, 8, generator=torch.Generator().manual_seed(0))
        write_features(directory, ids, [features])
    with publish(root / "source", settings={}) as directory, ShardWriter(directory / "train") as writer:
        for index, name in enumerate(ids):
            turns = [["What color?", colors[index % 3]], ["Red?", "no"], ["Blue?", "yes"], ["A dot?", "yes"]]
            writer.write(b"png", {"id": name, "conversation": turns})
    noise = np.random.default_rng(0)
    with publish(root / "images", settings={}) as directory, ShardWriter(directory / "train") as writer:
        for name in ids:
            buffer = io.BytesIO()
            Image.fromarray(noise.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(buffer, "PNG")
            writer.write(buffer.getvalue(), {"id": name})
    return World(root)
