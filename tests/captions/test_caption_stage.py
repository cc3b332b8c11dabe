"""Stage caption: the order and bytes of its artifact do not depend on who made the captions, or in which order."""

from __future__ import annotations

import json

import pytest

from pargo.captions.build import CaptionSettings, caption_shard, run
from pargo.config.captions import Captions
from pargo.errors import PargoError
from pargo.layout import manifest_path
from pargo.manifest import verify
from tests.helpers.caption_world import record, write_selection, write_source

RECORDS = [record("red circle"), record("- -"), record("- circle"), record("teal -"), record("red square")]
SETTINGS = CaptionSettings(split="train", captions=Captions())


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "src", RECORDS)


@pytest.fixture
def selection(tmp_path):
    """Four of five, in an order of their own."""
    return write_selection(tmp_path / "selected", ["000004", "000000", "000001", "000002"])


def test_the_artifact(source, selection, tmp_path):
    run(SETTINGS, source, selection, tmp_path / "out", tmp_path / "runs")
    verify(tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "captions.jsonl").read_text().splitlines()]
    assert [(row["id"], row["caption"]) for row in rows] == [
        ("000004", "one shape: red square."),
        ("000000", "one shape: red circle."),
        ("000001", ""),
        ("000002", "one shape: circle."),
    ]
    assert {rows[0][name] for name in ("model", "prompt", "usage", "time")} == {None}
    assert (tmp_path / "out" / "failures.jsonl").read_text() == ""
    assert json.loads((tmp_path / "out" / "statistics.json").read_text()) == {
        "images": 4,
        "captions": 4,
        "failures": {},
    }


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_shards_give_the_same_bytes(source, selection, tmp_path, number):
    run(SETTINGS, source, selection, tmp_path / "one", tmp_path / "runs-one")
    settings = CaptionSettings(split="train", captions=Captions(num_shards=number))
    shards = [tmp_path / "runs" / str(shard) for shard in range(number)]
    for shard, folder in reversed(list(enumerate(shards))):
        caption_shard(settings, source, selection, shard, folder)
    run(settings, source, selection, tmp_path / "many", tmp_path / "runs", shards)
    assert manifest_path(tmp_path / "one").read_bytes() == manifest_path(tmp_path / "many").read_bytes()


@pytest.mark.parametrize("limit", [0.01, 0.5, 1.0])
def test_a_higher_limit_gives_the_same_bytes(source, selection, tmp_path, limit):
    found = []
    for number, share in enumerate((0.0, limit)):
        settings = CaptionSettings(split="train", captions=Captions(max_failures=share))
        run(settings, source, selection, tmp_path / f"out-{number}", tmp_path / f"runs-{number}")
        found.append(manifest_path(tmp_path / f"out-{number}").read_bytes())
    assert found[0] == found[1]


def test_a_shard_that_is_not_finished(source, selection, tmp_path):
    settings = CaptionSettings(split="train", captions=Captions(num_shards=2))
    shards = [tmp_path / "runs" / str(shard) for shard in range(2)]
    caption_shard(settings, source, selection, 0, shards[0])
    caption_shard(settings, source, selection, 1, shards[1])
    path = shards[1] / "records.jsonl"
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-2]) + b"\n")
    with pytest.raises(PargoError, match="image '000002' has neither a caption nor a failure"):
        run(settings, source, selection, tmp_path / "out", tmp_path / "runs", shards)
    assert not (tmp_path / "out").exists()


def test_no_selection(source, tmp_path):
    with pytest.raises(PargoError, match="the stage `select` has not run"):
        run(SETTINGS, source, tmp_path / "absent", tmp_path / "out", tmp_path / "runs")


def test_an_unknown_split(source, selection, tmp_path):
    with pytest.raises(PargoError, match="test"):
        run(CaptionSettings(split="test", captions=Captions()), source, selection, tmp_path / "out", tmp_path / "runs")
