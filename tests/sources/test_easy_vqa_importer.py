"""What easy-VQA's questions and answers tell of an image, and that they never contradict each other unnoticed."""

from __future__ import annotations

import pytest

from pargo.errors import PargoError
from pargo.sources.importers.easy_vqa import make_record

TOLD = {
    "what shape is present?": ("circle", "circle", None),
    "what color is the circle?": ("red", "circle", "red"),
    "what is the color of the shape?": ("red", None, "red"),
    "what is the red shape?": ("circle", "circle", "red"),
    "is there a circle in the image?": ("yes", "circle", None),
    "is a circle present?": ("no", None, None),
    "does the image not contain a red shape?": ("no", None, "red"),
    "does the image not contain a teal shape?": ("yes", None, None),
    "is no circle present?": ("no", "circle", None),
    "is there not a circle?": ("yes", None, None),
}


def told(*turns: tuple[str, str]) -> tuple[str | None, str | None]:
    (item,) = make_record("000001", list(turns))["objects"]
    return item["shape"], item["color"]


@pytest.mark.parametrize("question", TOLD)
def test_what_one_turn_tells(question):
    answer, *known = TOLD[question]
    assert told((question, answer)) == tuple(known)


def test_the_only_one_left():
    assert told(("is there a circle?", "no"), ("is there not a square?", "yes")) == (None, None)
    assert told(("is there a circle?", "no"), ("is there not a rectangle?", "yes")) == ("triangle", None)


@pytest.mark.parametrize(
    "turns",
    [
        [("what shape is present?", "circle"), ("what shape is in the image?", "triangle")],
        [("what shape is present?", "circle"), ("is there a circle?", "no")],
        [("what color is the circle?", "red"), ("is no red shape present?", "yes")],
    ],
)
def test_contradictions(turns):
    with pytest.raises(PargoError, match=r"easy-VQA image 000001: answers contradict each other: (circle|red)"):
        told(*turns)


def test_nothing_asked():
    assert told() == (None, None)
