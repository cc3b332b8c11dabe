"""Scores by group and image, made of random numbers."""

import numpy as np


def groups_of(seed: int, *sizes: int, shift: float = 0.0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        f"task{number}": {
            f"{number}-{i:03d}": (float(rng.normal(shift)), float(rng.integers(1, 4))) for i in range(size)
        }
        for number, size in enumerate(sizes)
    }


def reordered(groups: dict) -> dict:
    return {group: dict(reversed(images.items())) for group, images in reversed(groups.items())}
