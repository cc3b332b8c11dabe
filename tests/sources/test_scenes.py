"""Scenes: the same for ever, independent of how many are drawn, and their annotations are what the pixels show."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pargo.data.shards import Shards
from pargo.sources.scene_source import write_scenes
from pargo.sources.scenes import BACKGROUNDS, CELLS, INK, RGB, UNITS, draw_scene, render

SEEDS = st.integers(0, 10**6)


def test_drawn_scenes_never_change():
    text = repr([draw_scene(0, index) for index in range(100)])
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "8a449ad770a021f9fb54402fb9fcd2e9f196233500a467751fdd123031e3f22e"
    )


def test_seed_and_index_both_matter():
    scenes = [draw_scene(seed, index) for seed in range(3) for index in range(50)]
    assert len(set(scenes)) == len(scenes)


@settings(max_examples=60)
@given(SEEDS, SEEDS, st.sampled_from([UNITS, 64]))
def test_pixels_show_the_annotations(seed, index, image_size):
    scene = draw_scene(seed, index)
    pixels = np.asarray(render(scene, image_size))
    assert pixels.shape == (image_size, image_size, 3)
    assert scene.background in BACKGROUNDS
    half = image_size // 2
    content = {item.cell: item for item in scene.objects}
    for cell in range(len(CELLS)):
        top, left = cell // 2 * half, cell % 2 * half
        found = set(map(tuple, pixels[top : top + half, left : left + half].reshape(-1, 3).tolist()))
        if cell in content:
            item = content[cell]
            x, y = (round(value * image_size / UNITS) for value in item.center)
            assert tuple(pixels[y, x]) == RGB[item.color]
            assert found == {RGB[item.color], scene.background}
        elif scene.word and scene.word.cell == cell:
            assert min(sum(color) for color in found) < sum(INK) + 150  # dark, whatever the smoothing
        else:
            assert found == {scene.background}


@pytest.mark.parametrize(("shape", "share"), [("circle", 0.785), ("square", 1.0), ("triangle", 0.5)])
def test_shapes_fill_their_share_of_the_box_around_them(shape, share):
    shares = []
    for index in range(60):
        scene = draw_scene(3, index)
        pixels = np.asarray(render(scene))
        for item in scene.objects:
            if item.shape == shape:
                top, left = item.cell // 2 * 80, item.cell % 2 * 80
                mask = (pixels[top : top + 80, left : left + 80] == RGB[item.color]).all(-1)
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
                shares.append(mask.sum() / box)
    assert np.mean(shares) == pytest.approx(share, abs=0.03)


def read_all(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_scenes(tmp_path / name, seed=5, num_images=20, image_size=64)
    assert read_all(tmp_path / "a" / "train") == read_all(tmp_path / "b" / "train")


def test_an_image_does_not_depend_on_how_many_are_drawn(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    write_scenes(few, seed=5, num_images=4, image_size=64)
    write_scenes(many, seed=5, num_images=9, image_size=64)
    few, many = Shards(few / "train"), Shards(many / "train")
    assert len(many) == 9
    for identifier in few.ids:
        assert few.read(identifier) == many.read(identifier)
        assert few.record(identifier) == many.record(identifier)
