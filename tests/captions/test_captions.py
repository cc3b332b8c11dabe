"""Captions: what the engine says, what the filter drops and counts, and that the card's numbers are right."""

import json

import pytest

from pargo.captions.build import CaptionSettings, run
from pargo.captions.card import DETAILS, card, statistics
from pargo.captions.engines import ENGINES
from pargo.captions.quality import RULES, reason_to_drop, repetition, words
from pargo.config.data import Captions, Quality
from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.layout import manifest_path
from pargo.manifest import publish, verify


def record(*objects, word=None):
    """Annotations from words: `red square top left`; `-` is unknown."""
    parts = [[None if part == "-" else part for part in text.split(maxsplit=2)] for text in objects]
    return {
        "objects": [dict(zip(("color", "shape", "cell"), part, strict=False)) for part in parts],
        "word": dict(zip(("text", "cell"), word.split(maxsplit=1), strict=True)) if word else None,
    }


def write_source(directory, records):
    """A source of shards whose images are never looked at; its path."""
    with publish(directory, settings={}) as folder, ShardWriter(folder / "train") as writer:
        for index, annotations in enumerate(records):
            writer.write(b"", annotations | {"id": f"{index:06d}"})
    return directory


def no_image():
    raise AssertionError("the annotations engine needs no pixels")


@pytest.mark.parametrize(
    ("annotations", "caption"),
    [
        (
            record("red square top left", "blue circle bottom left", word="cat bottom right"),
            "two shapes: red square top left, blue circle bottom left, word cat bottom right.",
        ),
        (record("red square top left"), "one shape: red square top left."),
        (record("red circle"), "one shape: red circle."),
        (record("- circle"), "one shape: circle."),
        (record("red -"), "one shape: red."),
        (record("- -"), ""),
        (record(), ""),
    ],
)
def test_annotations_engine(annotations, caption):
    assert ENGINES["annotations"]().caption(annotations, no_image) == caption


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("", "empty"),
        (" ...", "empty"),
        ("one shape", "too_short"),
        ("one red shape", None),
        ("a b c d e", None),
        ("a b c d e f", "too_long"),
        ("red red red blue", "repetitive"),
        ("red red blue green", None),
        ("Red red RED.", "repetitive"),
        ("red red red red red red", "too_long"),
    ],
)
def test_filter_truth_table(caption, reason):
    assert reason_to_drop(caption, Quality(min_words=3, max_words=5, max_repetition=0.5)) == reason


def test_words_and_repetition():
    assert words("Two shapes: red square, word 'don't' top-left.") == [
        "two",
        "shapes",
        "red",
        "square",
        "word",
        "don't",
        "top-left",
    ]
    assert repetition("a a b b b c") == 0.5
    assert repetition("") == 0.0


def test_statistics_count_everything():
    captions = [
        "one shape: red circle.",
        "one shape: red circle.",
        "two shapes: red circle top left, word cat top right.",
    ]
    numbers = statistics(captions, {"empty": 2})
    assert (numbers["num_images"], numbers["num_captions"], numbers["num_distinct"]) == (5, 3, 2)
    assert numbers["dropped"] == {"empty": 2, "too_short": 0, "too_long": 0, "repetitive": 0}
    assert numbers["words"] == {
        "min": 4,
        "p5": 4,
        "median": 4,
        "mean": 6.0,
        "p95": 10,
        "max": 10,
        "histogram": {"4": 2, "10": 1},
    }
    assert numbers["details"] == {"position": 1.333, "color": 1.0, "count": 1.0, "text": 0.333}
    assert set(numbers["details"]) == set(DETAILS)


def test_the_card_shows_the_statistics():
    text = card(
        statistics(["one shape: red."], {"too_long": 1234}), source="s", split="train", engine="e", examples=["x"]
    )
    for part in ("# Captions of s, split train", "| too long | 1,234 |", "| median | 3 |", "- x", "| 3 | 1 |"):
        assert part in text


SETTINGS = CaptionSettings(split="train", captions=Captions())


def test_stage_keeps_drops_and_counts(tmp_path):
    source = write_source(tmp_path / "src", [record("red circle"), record("- -"), record("- circle"), record("teal -")])
    output = tmp_path / "captions"
    run(SETTINGS, source, output)
    verify(output)
    rows = [json.loads(line) for line in (output / "captions.jsonl").read_text().splitlines()]
    assert rows == [
        {"id": "000000", "caption": "one shape: red circle."},
        {"id": "000002", "caption": "one shape: circle."},
        {"id": "000003", "caption": "one shape: teal."},
    ]
    assert json.loads((output / "dropped.jsonl").read_text()) == {"id": "000001", "caption": "", "reason": "empty"}
    numbers = json.loads((output / "statistics.json").read_text())
    assert (numbers["num_images"], numbers["dropped"]["empty"]) == (4, 1)
    assert set(numbers["dropped"]) == set(RULES)
    assert "| empty | 1 |" in (output / "README.md").read_text()


def test_stage_is_the_same_twice(tmp_path):
    source = write_source(tmp_path / "src", [record("red circle")])
    for name in ("a", "b"):
        run(SETTINGS, source, tmp_path / name)
    assert manifest_path(tmp_path / "a").read_bytes() == manifest_path(tmp_path / "b").read_bytes()


def test_all_captions_dropped_is_an_error(tmp_path):
    source = write_source(tmp_path / "src", [record("- -")])
    with pytest.raises(PargoError, match=r"dropped all 1 captions \(empty 1\)"):
        run(SETTINGS, source, tmp_path / "captions")
    assert not (tmp_path / "captions").exists()


def test_an_unknown_split_is_an_error(tmp_path):
    source = write_source(tmp_path / "src", [record("red circle")])
    with pytest.raises(PargoError, match="test"):
        run(CaptionSettings(split="test", captions=Captions()), source, tmp_path / "captions")
