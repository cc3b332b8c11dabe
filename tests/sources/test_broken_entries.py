"""No entry vanishes: it becomes a sample, is text alone, or is listed as broken with its reason."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from pargo.errors import InputError
from pargo.graph.display import Display
from pargo.sources.importers.visible import is_visible
from tests.sources.test_layouts import DOT, bring, chat, embedded, folder, llava, parts, said, samples

__all__ = ["folder"]  # a fixture

GOOD = {"image": "a/1.png", "conversations": llava(("<image>\nWhat is it?", "A dot."))}


def asked(question: object, answer: object = "Yes", **fields: object) -> dict:
    return {"image": "a/1.png", "conversations": llava((question, answer)), **fields}


def text_only(question: object = "Hello?", answer: object = "Hi.", **fields: object) -> dict:
    return {"conversations": llava((question, answer)), **fields}


def outcome(folder: Path, entry: object) -> tuple[str, str]:
    """What becomes of an entry after a good one: sample, without_image, or the kind of its fault and the reason."""
    output = bring(folder, [GOOD, entry], max_broken=1)
    counts = json.loads((output / "counts.json").read_text())
    broken = [json.loads(line) for line in (output / "broken.jsonl").read_text().splitlines()]
    assert counts["samples"] + counts["without_image"] + counts["broken"] == 2
    assert len(broken) == counts["broken"] == sum(counts["reasons"].values())
    if broken:
        assert (broken[0]["file"], broken[0]["entry"]) == ("list.json", 1)
        return next(iter(counts["reasons"])), broken[0]["reason"]
    return ("without_image" if counts["without_image"] else "sample"), ""


EMPTY = [
    "",
    " ",
    "\n\t",
    "\u200b",
    "\ufeff\u2060",
    "\x00\x1f",
    "\u00a0\u3000",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "<image>",
    " <image>\n",
]
EMPTY += ["<|image_1|>", "<img>a/1.png</img>"]


@pytest.mark.parametrize("empty", EMPTY, ids=ascii)
def test_an_empty_answer_is_broken(folder, empty):
    for entry in (
        asked("Is it?", empty),
        {"image": "a/1.png", "conversations": llava(("1?", "Yes"), ("2?", empty), ("3?", "No"))},
        {"image": "a/1.png", "conversations": llava(("1?", empty), ("2?", empty))},
        {"image": "a/1.png", "question": "Is it?", "answer": empty},
        {"image": "a/1.png", "question": "Is it?", "answers": [empty, empty]},
        {"image": "a/1.png", "caption": empty},
        {"image": "a/1.png", "instruction": "Is it?", "output": empty},
        {"image": "a/1.png", "query": "Is it?", "response": "Yes", "history": [["Is it not?", empty]]},
        {"image": "a/1.png", "messages": chat(("Is it?", [{"type": "text", "text": empty}]))},
    ):
        kind, reason = outcome(folder, entry)
        assert kind == "empty answer", entry
        assert "the answer is empty" in reason


@pytest.mark.parametrize(
    "answer", ["0", ".", "-", "...", "?", "é", "漢", "🙂", "a\u200b", "e\u0301", "<image> is a token", "<b>"]
)
def test_a_short_answer_is_an_answer(folder, answer):
    assert samples(bring(folder, [asked("Is it?", answer)])) == [(DOT, [["Is it?", answer]])]


@pytest.mark.parametrize("empty", ["", "  ", "\u200b", None])
def test_an_empty_question_is_broken(folder, empty):
    kind = "no text" if empty is None else "empty question"
    assert outcome(folder, asked(empty))[0] == kind
    assert outcome(folder, {"image": "a/1.png", "question": empty, "answer": "Yes"})[0] == kind
    later = {"image": "a/1.png", "conversations": llava(("<image>\n1?", "Yes"), (empty, "No"))}
    assert outcome(folder, later) == (kind, outcome(folder, later)[1])
    assert outcome(folder, later)[1].startswith("turn 2: ")


@pytest.mark.parametrize(
    ("question", "stays"),
    [
        ("<image>\nWhat?", "What?"),
        ("What?\n<image>", "What?"),
        ("What?<image>", "What?"),
        ("In <image> what?", "In  what?"),
        ("<|image_1|>\nWhat?", "What?"),
        ("<ImageHere>What?", "What?"),
        ("<|vision_start|><|image_pad|><|vision_end|>What?", "What?"),
        ("<im_start><image><im_end>\nWhat?", "What?"),
        ("<img><image></img>\nWhat?", "What?"),
        ("<image 1> What?", "What?"),
        ("<start_of_image>What?", "What?"),
        ("<image>\nWhat does the token <image> mean?", "What does the token <image> mean?"),
        ("What does <image> mean? <image>", "What does  mean? <image>"),  # the first one is taken
        ("What is <img src='x.png'> or <Image>?", "What is <img src='x.png'> or <Image>?"),
    ],
)
def test_one_placeholder_is_taken_and_text_stays(folder, question, stays):
    answer = "It is <image>."
    assert samples(bring(folder, [asked(question, answer)])) == [(DOT, [[stays, answer]])]


VIDEO = {"type": "video", "video": "a.mp4"}
BROKEN = [
    # what names an image that cannot be found
    (text_only("<image>\nWhat?"), "image not named"),
    (text_only("In <image> what?"), "image not named"),
    (text_only("<|image_pad|><|image|>"), "image not named"),
    (text_only("<image>", image=None), "image not named"),
    (text_only("<image>", images=[]), "image not named"),
    (text_only("<image>", images=[None, ""]), "image not named"),
    (text_only("<image>", image={"bytes": None, "path": None}), "image not named"),
    ({"instruction": "<image>What?", "output": "x"}, "image not named"),
    ({"query": "What?", "response": "x", "history": [["<image>", "y"]]}, "image not named"),
    ({"messages": chat(([{"type": "image"}, {"type": "text", "text": "What?"}], "x"))}, "image not named"),
    ({"messages": [{"role": "user", "content": "<image>"}]}, "image not named"),
    ({"messages": said(("Human", "gpt"), ("from", "value"), ("<image>", "x"))}, "image not named"),
    ({"conversations": ["<image>\nWhat?", "x"]}, "image under another name"),
    ({"prompt": "<image>\nWhat?", "completion": "x"}, "image under another name"),
    (text_only(pictures=["a/1.png"]), "image under another name"),
    (text_only(imagePath="a/1"), "image under another name"),
    (text_only(image_id=458752), "image under another name"),
    (text_only(num_images=1), "image under another name"),
    (text_only(has_image=True), "image under another name"),
    (text_only(source="a/1.png"), "image under another name"),
    (text_only(url="https://example.org/a.jpg?width=3"), "image under another name"),
    ({"text": "A dot.", "URL": "https://example.org/a.JPG#x"}, "image under another name"),
    ({"caption": "A dot.", "url": "https://example.org/a/1"}, "image not named"),
    ({"caption": "A dot.", "image": None}, "image not named"),
    ({"question": "<image 1> What?", "answer": "x"}, "image not named"),
    (text_only("<start_of_image>What?"), "image not named"),
    (text_only(media=[{"kind": "still", "at": {"file": "x/Y.JPEG"}}]), "image under another name"),
    (text_only(blob=embedded(DOT)), "image under another name"),
    (
        {"conversations": [{"from": "human", "value": "What?", "pic": "a/1.png"}, {"from": "gpt", "value": "x"}]},
        "image under another name",
    ),
    ({"question": "What?", "answer": "x", "image_id": 7}, "image under another name"),
    (asked("What?", image="gone.png"), "image not found"),
    (asked("What?", image="a/1"), "image not named"),
    (asked("What?", image="a/1.tif"), "image not named"),
    (asked("What?", image=3), "image not named"),
    (asked("What?", image={"height": 3}), "image not named"),
    (asked("What?", image=[["a/1.png"]]), "image not named"),
    (text_only("<img>gone.png</img>What?"), "image not found"),
    (text_only("<img></img>What?"), "image not named"),
    (text_only(image="../list.png"), "image outside the folder"),
    (text_only(image="a/../../list.png"), "image outside the folder"),
    (text_only(image="a/1.png/x.png"), "image cannot be read"),
    (text_only(image="file:///etc/secret.png"), "image outside the folder"),
    (text_only(image="/etc/secret.png"), "image outside the folder"),
    (text_only(image="x" * 5000 + ".png"), "image cannot be read"),
    (text_only(image="https://example.org/a.png"), "image on the web"),
    (text_only(images=["s3://bucket/a.png"]), "image on the web"),
    (
        {"messages": chat((parts({"type": "image_url", "image_url": {"url": "http://x/a.png"}}, "What?"), "x"))},
        "image on the web",
    ),
    (text_only(image="data:image/png;base64,!!"), "image cannot be read"),
    (text_only(image="data:image/png,abc"), "image cannot be read"),
    (text_only(image=embedded(b"no image")), "image cannot be read"),
    (text_only(image=embedded(DOT[:40])), "image cannot be read"),
    (text_only(image=embedded(b"<svg/>")), "image cannot be read"),
    # several
    (asked("What?", images=["a/1.png", "2 b.png"]), "several images"),
    (asked("What?", image_2="2 b.png"), "several images"),
    (asked("<img>2 b.png</img>What?"), "several images"),
    (asked("<image><image>What?"), "several images"),
    (asked("<image>\n<image>\nWhat?"), "several images"),
    ({"image": "a/1.png", "conversations": llava(("<image>\n1?", "x"), ("<image>\n2?", "y"))}, "several images"),
    ({"messages": chat((["<image>", *parts({"type": "image", "image": "a/1.png"}, "What?")], "x"))}, "several images"),
    (
        {"images": ["a/1.png"], "messages": chat(([{"type": "image"}, {"type": "image"}, "What?"], "x"))},
        "several images",
    ),
    (
        {"image": {"<image_00>": "a/1.png", "<image_01>": "2 b.png"}, "conversations": chat(("What?", "x"))},
        "several images",
    ),
    # other media and parts
    (text_only(video="a.mp4"), "video or sound"),
    (text_only(video_path="a.mp4"), "video or sound"),
    (asked("What?", audios=["a.wav"]), "video or sound"),
    ({"messages": chat(([VIDEO, {"type": "text", "text": "What?"}], "x"))}, "part of another type"),
    ({"messages": chat(([{"type": "input_audio", "input_audio": {}}], "x"))}, "part of another type"),
    ({"image": "a/1.png", "messages": chat(([7], "x"))}, "part of another type"),
    (
        {"image": "a/1.png", "messages": chat(("What?", parts({"type": "image", "image": "a/1.png"}, "x")))},
        "image in an answer",
    ),
    # speakers
    (
        {"image": "a/1.png", "conversations": said(("human", "function_call"), ("from", "value"), ("What?", "f()"))},
        "tool turns",
    ),
    (
        {"image": "a/1.png", "conversations": said(("observation", "gpt"), ("from", "value"), ("3", "It is 3."))},
        "tool turns",
    ),
    ({"image": "a/1.png", "messages": said(("user", "tool"), ("role", "content"), ("What?", "3"))}, "tool turns"),
    ({"image": "a/1.png", "messages": chat(("1?", "x"))[::-1]}, "another order of turns"),
    ({"image": "a/1.png", "messages": chat(("1?", "x"), ("2?", "y"))[:3]}, "another order of turns"),
    ({"image": "a/1.png", "messages": [{"role": "system", "content": "Be kind."}]}, "another order of turns"),
    (
        {"image": "a/1.png", "messages": [*chat(("1?", "x")), {"role": "system", "content": "?"}]},
        "another order of turns",
    ),
    # text
    (asked("What?", None), "no text"),
    (asked("What?", 3), "no text"),
    (asked("What?", []), "no text"),
    ({"image": "a/1.png", "question": "What?", "answer": None}, "no text"),
    ({"image": "a/1.png", "instruction": "What?", "input": 3, "output": "x"}, "no text"),
    ({"image": "a/1.png", "instruction": "What?", "chosen": "x", "rejected": "y"}, "no text"),
    ({"image": "a/1.png", "conversations": "What?"}, "another layout"),
    ({"image": "a/1.png", "conversations": json.dumps(llava(("What?", "x")))}, "another layout"),
    ({"image": "a/1.png", "conversation": [{"human": "What?"}]}, "another layout"),
    ({"image": "a/1.png", "prompt": "What?", "completion": "x"}, "another layout"),
    ([GOOD], "no mapping"),
    (None, "no mapping"),
]


@pytest.mark.parametrize(("entry", "kind"), BROKEN, ids=[ascii(entry)[:80] for entry, _ in BROKEN])
def test_a_broken_entry_has_its_reason(folder, entry, kind):
    found, reason = outcome(folder, entry)
    assert found == kind, reason
    assert 0 < len(reason) < 400


@pytest.mark.parametrize(
    "entry",
    [
        text_only(),
        text_only(image=None, images=[], video=None, videos=[], image_path=""),
        text_only(image={"bytes": None, "path": None}, has_image=False, num_images=0),
        text_only("What is <image>?".replace("<image>", "an image"), "It is <image> in a text.", source="ShareGPT"),
        text_only("Show a.png", "logo.png"),
        text_only("What?", ""),
        {"instruction": "Sort:", "input": "b a", "output": "a b", "images": []},
        {"messages": [{"role": "system", "content": "Answer what you see in <image>."}, *chat(("Hello?", "Hi."))]},
        {"messages": chat(([{"type": "text", "text": "Hello?", "image": None}], "Hi."))},
        {"text": "A document."},
        {"imagenet_class": 3, "conversations": llava(("Hello?", "Hi."))},
        {},
    ],
    ids=ascii,
)
def test_text_alone_is_counted_apart(folder, entry):
    assert outcome(folder, entry) == ("without_image", "")


def test_max_broken_counts_empty_answers_and_lost_images(folder):
    entries = [GOOD, GOOD, asked("What?", ""), text_only("<image>\nWhat?")]
    bring(folder, entries, max_broken=0.5)
    with pytest.raises(
        InputError, match=r"left out: 2 of 4; max_broken allows 40.00% \(empty answer: 1, image not named: 1\)"
    ):
        bring(folder, entries, max_broken=0.4)


@pytest.mark.parametrize("allowed", [0.6, 0.5])
def test_counts_and_reasons_are_on_the_screen(folder, capsys, allowed):
    entries = [GOOD, text_only(), text_only(), *[asked("What?", "")] * 3, text_only(image="gone.png")]
    with contextlib.nullcontext() if allowed == 0.6 else pytest.raises(InputError, match="left out: 4 of 7"):
        bring(folder, entries, max_broken=allowed)
    assert capsys.readouterr().err.splitlines() == [
        "import: 1 samples, 2 without image, 4 broken",
        "import: 3 x empty answer, e.g. list.json, entry 3: turn 1: the answer is empty: ''",
        "import: 1 x image not found, e.g. list.json, entry 6: cannot read image 'gone.png' in "
        f"{folder / 'images'}: no such file",
    ]


def test_a_run_shows_what_its_imports_left_out(tmp_path):
    (tmp_path / "log").write_text(
        "Importing conversations: 3 done in 4 s\nimport: 1 samples, 2 broken\nimport: 2 x [no text]\n"
    )
    console = Console(file=io.StringIO(), width=200)
    with Display(console, "Data", 1) as display:
        for event in (
            {"event": "job_info", "jobid": 1, "rule_name": "download", "wildcards": {}, "log": [str(tmp_path / "log")]},
            {"event": "job_finished", "job_id": 1},
        ):
            display.listen(logging.makeLogRecord(event))
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert lines[-2:] == ["1 samples, 2 broken", "2 x [no text]"]
    assert "Importing" not in "".join(lines)


def test_a_system_message_is_left_out_and_counted(folder, capsys):
    entries = [GOOD, {**GOOD, "system": "Be kind."}, {**GOOD, "system": ""}]
    output = bring(folder, entries)
    assert len(samples(output)) == 3
    assert json.loads((output / "counts.json").read_text())["system_left_out"] == 1
    assert "1 system left out" in capsys.readouterr().err


# Any entry ------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *(
            "image",
            "images",
            "image_1",
            "image_path",
            "file_name",
            "img",
            "image_url",
            "image_id",
            "video",
            "pic",
            "id",
        ),
        *("conversations", "messages", "conversation", "texts", "question", "answer", "answers", "query", "response"),
        *("instruction", "input", "output", "history", "caption", "text", "system", "from", "role", "value", "content"),
        *("type", "human", "user", "gpt", "assistant", "bytes", "path", "url", "source", "data", "<image_00>", "other"),
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        [
            *("a/1.png", "gone.png", "../x.png", "<image>", "<image>\nWhat?", "<img>a/1.png</img>What?", "", "\u200b"),
            *(
                "human",
                "gpt",
                "user",
                "assistant",
                "system",
                "text",
                "image",
                "image_url",
                "video",
                "\ud800",
                "a\0.png",
            ),
            *("data:image/png;base64,AAAA", embedded(DOT), "http://x/a.png", "file:///a.png", "."),
        ]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=15,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": TEXTS | VALUES},
        optional={"images": VALUES},
    ),
    max_size=4,
)
ENTRIES = st.one_of(
    VALUES,
    st.dictionaries(NAMES, VALUES, max_size=6),
    st.fixed_dictionaries({"messages": TURNS}, optional={"image": VALUES, "images": VALUES, "other": VALUES}),
    st.builds(lambda a, b, image: {"image": image, "messages": chat((a, b))}, VALUES, VALUES, VALUES),
)


def count(entries: list, suffix: str, merge: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "images" / "a").mkdir(parents=True)
        (root / "images" / "a" / "1.png").write_bytes(DOT)
        output = bring(root, [GOOD, *entries], suffix, merge=merge, max_broken=1)
        counts = json.loads((output / "counts.json").read_text())
        broken = [json.loads(line) for line in (output / "broken.jsonl").read_text().splitlines()]
        used = counts["samples"] + counts.get("merged", 0)
        assert used + counts["without_image"] + counts["broken"] == 1 + len(entries)
        assert len({row["entry"] for row in broken}) == counts["broken"] == sum(counts["reasons"].values())
        for _, turns in samples(output):
            assert turns
            assert all(is_visible(answer) for _, answer in turns)
            assert merge or all(is_visible(question) for question, _ in turns[1:])


def test_halves_of_characters_and_a_thousand_levels():
    deep = json.loads("[" * 900 + "]" * 900)
    half = "\ud800"
    entries = [
        {"image": deep, "conversations": deep},
        {"image": "a/1.png", "messages": [{"role": deep, "content": deep}]},
        {"other": deep},
        {"image": f"{half}.png", "caption": "x"},
        asked("What?", half),
        {"image": "a/1.png", half: half, "caption": "x", "id": half},
        {half: half, "images": [{"bytes": base64.b64encode(DOT).decode(), "path": half}], "caption": "x"},
    ]
    count(entries, ".jsonl", merge=False)


@settings(max_examples=60)
@given(st.lists(ENTRIES, max_size=12), st.sampled_from([".json", ".jsonl"]), st.booleans())
@example([{"image": {"bytes": base64.b64encode(DOT).decode(), "path": "\ud800"}, "caption": "x"}], ".jsonl", True)
@example([{"image": {"bytes": base64.b64encode(DOT).decode(), "path": "."}, "caption": "x"}], ".json", False)
def test_any_entry_is_a_sample_without_image_or_broken(entries, suffix, merge):
    count(entries, suffix, merge)
