"""A choice by measurement: the faster way, remembered; a tie goes to the first."""

import json
import time

import pytest

from pargo.models.choices import fastest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "pargo" / "choices.json"


def wait(milliseconds: float):
    return lambda: time.sleep(milliseconds / 1000)


def test_the_faster_way_is_taken_and_written_down(cache):
    assert fastest("a question", {"slow": wait(20), "fast": wait(2)}) == "fast"
    (entry,) = json.loads(cache.read_text()).values()
    assert entry["seconds"]["slow"] > entry["seconds"]["fast"] > 0.001


def test_it_is_asked_once(cache):
    ways = {"one": wait(2), "two": wait(20)}
    assert fastest("a question", ways) == "one"
    assert fastest("a question", {"one": pytest.fail, "two": pytest.fail}) == "one"


def test_other_ways_are_another_question():
    assert fastest("a question", {"one": wait(2), "two": wait(20)}) == "one"
    assert fastest("a question", {"three": wait(20), "two": wait(2)}) == "two"


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_file_is_made_anew(cache, text):
    cache.parent.mkdir()
    cache.write_text(text)
    assert fastest("a question", {"slow": wait(20), "fast": wait(2)}) == "fast"
    assert len(json.loads(cache.read_text())) == 1
