"""The stage `download`: every kind of source, typed settings, whole or nothing, twice the same."""

import json
import subprocess
import sys

import pytest

from pargo.config.base import canonical_json
from pargo.config.experiment import load_config
from pargo.config.sources.wheel import importers
from pargo.data.shards import Shards
from pargo.errors import PargoError
from pargo.fetch.table import Wheel, known_downloads, wheel
from pargo.graph.stage_settings import download as download_settings
from pargo.layout import manifest_path
from pargo.manifest import verify
from pargo.sources.download import DownloadSettings, run
from tests.data.test_shards import png
from tests.fetch.test_wheel import index, make_pin, make_wheel  # noqa: F401 - a fixture


def easy_vqa_files():
    questions = [
        ["what shape is present?", "circle", 0],
        ["is there a red shape?", "no", 0],
        ["what color is the shape?", "teal", 0],
        ["what is the color of the shape?", "red", 1],
        ["is a circle present?", "yes", 2],
    ]
    files = {f"easy_vqa/data/{split}/questions.json": json.dumps(questions) for split in ("train", "test")}
    for split in ("train", "test"):
        files |= {f"easy_vqa/data/{split}/images/{number}.png": png(number) for number in range(3)}
    return files


def wheel_settings(pin, **source):
    return DownloadSettings(id="fake", source={"kind": "wheel", **source}, pin=pin)


def test_easy_vqa_from_wheel_to_shards(tmp_path, index):  # noqa: F811
    wheel = make_wheel(index, easy_vqa_files())
    output = tmp_path / "sources" / "fake"
    run(wheel_settings(make_pin(wheel)), output, tmp_path / "cache")
    verify(output)
    assert (output / "LICENSE").read_text() == "free"
    for split in ("train", "test"):
        shards = Shards(output / split)
        records = [shards.record(identifier) for identifier in shards.ids]
        assert [record["id"] for record in records] == ["000000", "000001", "000002"]
        assert [record["objects"] for record in records] == [
            [{"shape": "circle", "color": "teal"}],
            [{"shape": None, "color": "red"}],
            [{"shape": "circle", "color": None}],
        ]
        assert records[1]["conversation"] == [["what is the color of the shape?", "red"]]
        assert shards.read("000002") == png(2)
    run(wheel_settings(make_pin(wheel), max_images=2), output, tmp_path / "cache")
    assert Shards(output / "test").ids == ["000000", "000001"]


def test_contradicting_answers_are_an_error_and_nothing_is_published(tmp_path, index):  # noqa: F811
    files = easy_vqa_files()
    files["easy_vqa/data/test/questions.json"] = json.dumps([["what shape?", "circle", 0], ["what?", "triangle", 0]])
    wheel = make_wheel(index, files)
    with pytest.raises(PargoError, match="contradict"):
        run(wheel_settings(make_pin(wheel)), tmp_path / "sources" / "fake", tmp_path / "cache")
    assert list((tmp_path / "sources").iterdir()) == []


def test_a_failed_download_leaves_the_old_source(tmp_path, index):  # noqa: F811
    wheel = make_wheel(index, easy_vqa_files())
    output = tmp_path / "sources" / "fake"
    run(wheel_settings(make_pin(wheel)), output, tmp_path / "cache")
    before = manifest_path(output).read_bytes()
    with pytest.raises(PargoError):
        run(wheel_settings(make_pin(wheel, importer="gguf")), output, tmp_path / "cache")
    assert manifest_path(output).read_bytes() == before
    verify(output)


def test_wheel_without_pin_or_importer(tmp_path):
    with pytest.raises(PargoError, match="needs a pin"):
        run(wheel_settings(None), tmp_path / "x")
    pin = wheel("easy_vqa").model_copy(update={"importer": "nobody"})
    with pytest.raises(PargoError, match="unknown importer 'nobody'; choices: easy_vqa, efficientnet_lite0, gguf"):
        run(wheel_settings(pin), tmp_path / "x")


def test_wheels_have_importers():
    rows = [row for row in known_downloads().values() if isinstance(row, Wheel)]
    assert {row.importer for row in rows} == set(importers())


def test_settings_come_through_json_from_the_config():
    config = load_config("config/quick.yaml")
    for name in config.sources:
        settings = DownloadSettings.model_validate_json(canonical_json(download_settings(config, name)))
        assert settings.source == config.sources[name]


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "scenes", "num_images": 3, "image_size": 64},
        {"kind": "mini_mme", "images_per_task": 1, "image_size": 64},
        {"kind": "random_vision", "seed": 3},
        {"kind": "random_language", "hidden_size": 16, "num_layers": 1, "num_heads": 2},
    ],
    ids=lambda source: source["kind"],
)
def test_generated_sources_are_the_same_twice(tmp_path, source):
    settings = DownloadSettings.model_validate({"id": "x", "source": source})
    for name in ("a", "b"):
        run(settings, tmp_path / name)
        verify(tmp_path / name)
    assert manifest_path(tmp_path / "a").read_bytes() == manifest_path(tmp_path / "b").read_bytes()
    changed = settings.source.model_copy(update={"seed": 11})
    run(settings.model_copy(update={"source": changed}), tmp_path / "c")
    assert manifest_path(tmp_path / "a").read_bytes() != manifest_path(tmp_path / "c").read_bytes()


def test_the_stage_starts_without_heavy_imports():
    modules = "import sys, pargo.sources.download, pargo.captions.build, pargo.graph.stage_settings"
    code = f"{modules}; print(sorted({{'torch', 'timm', 'transformers'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
