"""Fingerprints: the same whatever reads them, kept part by part, and never ended by a bad image."""

from __future__ import annotations

import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from pargo.data.selection import fingerprint as stage
from pargo.data.selection.fingerprint import FINGERPRINTS, OTHERS, FingerprintSettings, read_fingerprints, run
from pargo.data.selection.phash import NUM_BITS, perceptual_hashes
from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.layout import manifest_path
from pargo.manifest import publish
from pargo.sources.scenes import draw_scene, render

SETTINGS = FingerprintSettings(split="train")


def png(image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def scene(index: int) -> Image.Image:
    return render(draw_scene(0, index), 96)


def distance(left: bytes, right: bytes) -> int:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()


@pytest.fixture
def source(tmp_path):
    """Seven images, the third of them damaged; the second has scores."""
    with publish(tmp_path / "source", settings={}) as directory, ShardWriter(directory / "train") as writer:
        for index in range(7):
            data = png(scene(index))
            more = {"origin": "laion", "nsfw": 0.25, "watermark": True} if index == 1 else {}
            writer.write(data[: len(data) // 2] if index == 2 else data, {"id": f"{index}", "conversation": [], **more})
    return tmp_path / "source"


def test_a_row_says_what_the_image_is(source, tmp_path):
    run(SETTINGS, source, tmp_path / "out", tmp_path / "run")
    rows = read_fingerprints(tmp_path / "out").to_pylist()
    assert [row["id"] for row in rows] == list("0123456")
    assert (rows[0]["width"], rows[0]["height"], rows[0]["origin"], rows[0]["nsfw"]) == (96, 96, "", None)
    assert (rows[1]["origin"], rows[1]["nsfw"], rows[1]["watermark"]) == ("laion", 0.25, None)
    assert rows[0]["phash"] == perceptual_hashes(scene(0)).upright
    assert rows[2]["problem"].startswith("cannot read image 2")
    assert rows[2]["phash"] is None
    assert not any(row["problem"] for row in rows if row["id"] != "2")


def test_the_bytes_do_not_depend_on_processes(source, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "PART_SIZE", 2)
    run(SETTINGS, source, tmp_path / "many", tmp_path / "run")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    run(SETTINGS, source, tmp_path / "one", tmp_path / "run")
    assert (tmp_path / "many" / FINGERPRINTS).read_bytes() == (tmp_path / "one" / FINGERPRINTS).read_bytes()


def test_a_killed_run_goes_on_after_its_finished_parts(source, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "PART_SIZE", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    write = stage._write_part

    def die(images, part, *more):
        if part == 2:
            raise KeyboardInterrupt
        write(images, part, *more)

    monkeypatch.setattr(stage, "_write_part", die)
    with pytest.raises(KeyboardInterrupt):
        run(SETTINGS, source, tmp_path / "out", tmp_path / "run")
    assert not (tmp_path / "out").exists()
    made = []

    def note(images, part, *more):
        made.append(part)
        write(images, part, *more)

    monkeypatch.setattr(stage, "_write_part", note)
    run(SETTINGS, source, tmp_path / "out", tmp_path / "run")
    assert made == [2, 3]
    assert len(read_fingerprints(tmp_path / "out")) == 7
    assert not list((tmp_path / "run").iterdir())


def test_parts_of_other_runs_are_not_taken_and_the_last_ones_stay(source, tmp_path):
    others = [tmp_path / "run" / f"parts-{number:016d}" for number in range(OTHERS + 2)]
    for number, other in enumerate(others):
        other.mkdir(parents=True)
        (other / "000000.parquet").touch()
        os.utime(other, (number, number))
    run(SETTINGS, source, tmp_path / "out", tmp_path / "run")
    assert len(read_fingerprints(tmp_path / "out")) == 7
    assert sorted((tmp_path / "run").iterdir()) == others[2:]


def test_no_table(tmp_path):
    with pytest.raises(PargoError, match="has not run"):
        read_fingerprints(tmp_path)
    (tmp_path / FINGERPRINTS).write_bytes(b"no parquet")
    with pytest.raises(PargoError, match="cannot read"):
        read_fingerprints(tmp_path)
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / FINGERPRINTS)
    with pytest.raises(PargoError, match="has the columns"):
        read_fingerprints(tmp_path)


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize(
    ("change", "most"),
    [
        (lambda image: image.resize((224, 224), Image.Resampling.BICUBIC), 24),
        (lambda image: recompress(image, 30), 24),
        (lambda image: image.convert("L"), 16),
        (lambda image: image.point(lambda value: min(255, int(value * 1.1))), 32),
    ],
    ids=["resized", "recompressed", "grey", "brighter"],
)
def test_a_changed_image_is_near(index, change, most):
    image = photo_like(index)
    assert distance(perceptual_hashes(image).upright, perceptual_hashes(change(image)).upright) <= most


@pytest.mark.parametrize("index", range(6))
def test_a_mirrored_image_is_near_in_its_mirrored_hash(index):
    image = photo_like(index)
    ours, mirrored = perceptual_hashes(image), perceptual_hashes(ImageOps.mirror(image))
    assert distance(ours.mirrored, mirrored.upright) == 0
    assert distance(ours.upright, mirrored.upright) > 64


def test_unrelated_images_are_far():
    hashes = [perceptual_hashes(photo_like(index)).upright for index in range(30)]
    between = [distance(a, b) for place, a in enumerate(hashes) for b in hashes[:place]]
    assert min(between) > 64
    assert abs(np.mean(between) - NUM_BITS / 2) < 4


def photo_like(seed: int) -> Image.Image:
    """1/f noise: the spectrum of photographs."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    radius[0, 0] = 1
    channels = [np.real(np.fft.ifft2(np.fft.fft2(rng.normal(size=(128, 128))) / radius)) for _ in range(3)]
    values = np.stack(channels, -1)
    values = (values - values.min()) / (values.max() - values.min()) * 255
    return Image.fromarray(values.astype(np.uint8))


def recompress(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_the_artifact_tells_where_it_comes_from(source, tmp_path):
    run(SETTINGS, source, tmp_path / "out", tmp_path / "run")
    assert manifest_path(source).name in (tmp_path / "out" / "provenance.json").read_text()
