"""Tiny artifacts to train on."""

from __future__ import annotations

import pytest

from pargo.config.models import Vision
from pargo.manifest import publish
from pargo.models import features
from pargo.sources.random_models import write_random_vision
from tests.helpers.training_world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def tower(world: World) -> dict:
    """A random tower, its features of the world's images, and settings that fit."""
    settings = {
        "source": "v",
        "architecture": "test_efficientnet",
        "image_size": 64,
        "feature_layers": 2,
        "num_patches": 16,
        "feature_size": 112,
    }
    with publish(world.root / "tower", settings={}) as directory:
        write_random_vision(directory, seed=0)
    features.run(
        features.FeaturesSettings(split="train", vision=Vision(**settings)),
        world.root / "images",
        world.root / "tower",
        world.root / "tower-features",
    )
    return settings
