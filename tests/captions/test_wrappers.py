"""What servers leave round captions is cut or dropped by kind; captions of pictures that show such things are kept."""

# ruff: noqa: RUF001 - texts in other scripts
from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.captions.build import run
from pargo.captions.engines.openai import Engine
from pargo.captions.filter import FilterSettings
from pargo.captions.filter import run as run_filter
from pargo.captions.quality import reason_to_drop
from pargo.captions.samples import read_samples
from pargo.captions.thoughts import has_thoughts, without_thoughts
from pargo.config.experiment import load_config
from pargo.config.quality import Quality
from pargo.data.shards import Shards
from tests.helpers.caption_world import KEY, KEY_NAME, all_ids, server_settings, write_images, write_selection

A = "A red square lies on a white table."
PAPER = load_config(Path(__file__).parents[2] / "config/paper.yaml").datasets["pargocap"].quality


def judged(text: str, quality: Quality) -> tuple[str, str | None]:
    """The caption as the filter has it, and why it is dropped."""
    text = without_thoughts(text)
    flat = " ".join(text.split())
    return flat, reason_to_drop(flat, quality, {"text": text})


@pytest.mark.parametrize("quality", [Quality(), PAPER], ids=["default", "paper"])
@pytest.mark.parametrize(
    "text",
    [
        f"<think>\nThe user wants a caption.\n</think>\n\n{A}",
        f"<think>...</think> {A}",
        f"The user wants a caption.\n</think>\n\n{A}",
        f"ok </think>{A}",
        f"let me see what it is </think> {A}",
        f"<think></think>{A}",
        f"<think>\n\n</think>\n\n{A}",
        f"<THINK>A square.</THINK>{A}",
        f"<thinking>A square.</thinking>{A}",
        f"<thought>A square.</thought>{A}",
        f"<seed:think>A square.</seed:think>{A}",
        f"<think>a <think> b </think> c</think> {A}",
        "<think>a</think>A red square lies on <think>b</think>a white table.",
        f"<think>a tag like </think> in it</think> {A}",
        f"<|begin_of_thought|>x<|end_of_thought|>\n<|begin_of_solution|>{A}<|end_of_solution|>",
        f"◁think▷A square.◁/think▷{A}",
        f"[THINK]A square.[/THINK]{A}",
        f"<|START_THINKING|>A square.<|END_THINKING|><|START_RESPONSE|>{A}<|END_RESPONSE|>",
        f"<think>x</think><answer>{A}</answer>",
        f"Here is my thought process:\nThe user wants a caption.\nHere is my response:\n{A}",
        f"Thinking...\nThe user wants a caption.\n...done thinking.\n\n{A}",
        f"<think>x</think>\n<|begin_of_box|>{A}<|end_of_box|>",
        f"<|channel|>analysis<|message|>We need.<|end|><|start|>assistant<|channel|>final<|message|>{A}<|return|>",
        f"<|start|>assistant<|channel|>final<|message|>{A}",
        f"analysisWe need to describe it.assistantfinal{A}",
        f"用户想要描述。\n</think>\n{A}",
    ],
)
def test_thoughts_with_an_end_are_cut(text, quality):
    assert judged(text, quality) == (A, None)


DROPPED = {
    "thoughts": [
        "<think> It is a red square on a table.",
        "<think>It is a red square.</think>",
        "It is a red square, I think.</think>",
        f"{A} <think> Is that so?",
        "<|channel|>analysis<|message|>We need to describe it.",
        "analysisWe need to describe a red square.",
        "Okay, the user wants a description of this picture.",
        "The user wants a description of this picture.",
        "Let me describe the picture with a red square.",
        "好的，用户希望描述这张图片。",
        "好的，我需要先看看这张图片。",
        "让我仔细描述这张图片。",
        "我们需要描述这张图片。",
        f"Thought: the user wants a caption.\n{A}",
        f"**Thinking Process:**\n1. I look at it.\n\n{A}",
        "Here is my thought process: it is a red square.",
    ],
    "role": [
        f"ASSISTANT: {A}",
        f"Assistant: {A}",
        f"**Assistant:** {A}",
        f"### Response:\n{A}",
        f"### Assistant: {A}",
        f"Answer: {A}",
        f"assistant\n\n{A}",
        f"{A} USER: And what is left of it?",
        f"{A}\n### Human: And what is left of it?",
        f"{A}###Human: And what is left of it?",
        f"{A}\nUser: And what is left of it?",
        f"Final answer: {A}",
        f"Question: What is it?\nAnswer: {A}",
    ],
    "label": [
        f"**Caption:** {A}",
        f"**Caption**: {A}",
        f"Caption: {A}",
        f"caption - {A}",
        f"# Caption\n\n{A}",
        f"Caption\n\n{A}",
        f"Image Description: {A}",
        f"**Detailed description of the image:**\n{A}",
        f"Here is a detailed description of the image: {A}",
        f"Here’s a caption for the picture:\n\n{A}",
        f"Sure! Here is the caption: {A}",
        f"The following is a description of the image: {A}",
        f"## Overview\n{A}",
        f"The caption is: {A}",
        f"A caption for this image: {A}",
        f"A possible caption could be: {A}",
        f"Caption 1: {A}",
        f"Option 1: {A}\nOption 2: {A}",
        f"{A}\n\nNote: I cannot see more of it.",
        f"{A} (8 words)",
        f"{A}\n\n- **Foreground:** a red square.",
        "图片描述：一只棕色的狗躺在沙发上。",
        "以下是这张图片的详细描述：一只狗躺在沙发上。",
        "キャプション：茶色の犬がソファに寝ています。",
    ],
    "wrapped": [
        f'"{A}"',
        f"“{A}”",
        f"'{A}'",
        "'It's a dog on a sofa.'",
        '"A sign says "stop" on a wall."',
        f"`{A}`",
        f"```\n{A}\n```",
        f"```text\n{A}\n```",
        f"**{A}**",
        f"<caption>{A}</caption>",
        f"<SUMMARY>A table.</SUMMARY><CONCLUSION>{A}</CONCLUSION>",
        f"\\boxed{{{A}}}",
        f"$\\boxed{{\\text{{{A}}}}}$",
        json.dumps({"caption": A}),
        json.dumps([A]),
        "「茶色の犬がソファに寝ています。」",
    ],
    "control_tokens": [
        f"{A}<|im_end|>",
        f"{A}<|im_end|>\n<|im_start|>user\nAnd now?",
        f"{A}<|eot_id|>",
        f"{A} </s>",
        f"<s> {A}",
        f"{A}<eos>",
        f"{A}<end_of_turn>",
        f"{A}<end_of_utterance>",
        f"[/INST] {A}",
        f"<image>\n{A}",
        f"{A}<\uff5cend▁of▁sentence\uff5c>",
        f"<answer>{A}</answer>",
        "There is <ref>a dog</ref><box>[[1,2,3,4]]</box> on a table.",
        "A square<0x0A>on a table.",
        "A square<loc_52><loc_33><loc_1><loc_2> on a table.",
        "<grounding>There is<phrase> a square</phrase><object><patch_index_0001></object>.",
        'A <point x="1" y="2" alt="square">square</point> on a table.',
    ],
}


@pytest.mark.parametrize("reason", DROPPED)
def test_wrappers_are_dropped_by_kind(reason):
    switch = {"role": "roles", "label": "labels"}.get(reason, reason)
    for text in DROPPED[reason]:
        assert judged(text, Quality())[1] == reason, text
        if text.isascii() or A in text:  # in the paper, English alone
            assert judged(text, PAPER)[1] == reason, text
        assert reason_to_drop(text, Quality(**{switch: False})) != reason


KEPT = [
    A,
    'A sign that reads "Caption: Hello" hangs on the wall.',
    "A poster shows the words Caption: and Title: above a photo of a dog.",
    '"Caption:" is written on a sheet of paper.',
    "Caption balloons rise above a comic of a dog.",
    "The description board stands at the gate of a park.",
    "Answer sheets lie on a desk beside a pencil.",
    "A screen shows a chat in which Assistant: Hello stands in grey.",
    "A chat window with the lines User: hi and Assistant: hello in it.",
    'A screen shows the tag "<think>" in red letters.',
    '"<think>" is sprayed on a brick wall in red.',
    "A slide says that <think> opens a thought and </think> closes it.",
    "A white screen shows </think> in green letters.",
    "A terminal shows `<|im_end|>` at the end of a line.",
    "The screen shows the token <|im_end|> in red.",
    "A document ends with </s> in the last line.",
    "A page of code shows <div> and <b>bold</b> tags on a screen.",
    "A page of HTML has <s>old price</s> on it in grey.",
    "A graph shows 3 < 5 and 7 > 2 on paper.",
    "A red sign reads <EXIT> above a door.",
    '"Stop" is written on the sign next to "Go".',
    '"STOP" says the red sign at the corner.',
    "'Tis the season' is written on a sign that's by the door.",
    "'90s cars stand by the girls' school.",
    "Okay Corral sign by a dusty road in the sun.",
    "Let me in, says a cartoon cat at a door.",
    "Two users look at a laptop on a desk.",
    "An analysis of blood lies on the desk.",
    "[A] and [B] mark two doors in a hall.",
    "Here is a dog on a sofa: brown, with a white chest.",
    "This is a red car: an old model on a lot.",
    "The thinking statue of Rodin: a man on a rock.",
    "A caption is on the wall beside a photo: it says Art.",
    "Option keys and a space bar on a keyboard.",
    "Option 2 - the blue dress - hangs beside the red one.",
    "Question time, says the banner over a stage with four chairs.",
    "A page with three lines:\nName: Ann\nUser: admin\nRole: editor",
    "Question marks hang over a crowd: a comic in four panels.",
    "Two points of light <1 cm apart on a screen.",
    "A slide says thinking: fast and slow, beside a brain.",
    "画面中写着“描述：”两个字的牌子。",
    "让我们看到的是一座桥，桥下有一条河。",
    "我需要帮助，牌子上写着这几个字，一个男人举着它。",
    "屏幕上显示<think>标签和一些文字。",
    "A shirt with the number #1 and a hashtag #dog on it.",
    "**Bold** letters and stars surround a photo of a dog.",
    "three shapes: red square top left, blue circle bottom right, word caption top right.",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_a_picture_shows_is_kept(text):
    assert judged(text, Quality()) == (" ".join(text.split()), None)


@given(st.text(st.characters(exclude_characters="<>[]◁▷", exclude_categories=["Cs"])))
def test_text_without_marks_is_not_cut(text):
    if not text.lstrip().startswith("analysis"):
        assert without_thoughts(text) == text


@pytest.mark.parametrize(
    "piece", ["\n", " ", "*", "#", "\n#", "(", "- ", '"', "a\n", "the ", "image ", "here is ", "<think>"]
)
def test_what_goes_on_for_long_is_judged_too(piece):
    """In a time that grows with the length: a model that loops may write for long."""
    text = piece * (100_000 // len(piece) if piece != "<think>" else 1000)
    assert without_thoughts(text) == text
    assert reason_to_drop(text, Quality()) is not None


@pytest.mark.parametrize("piece", ["</think>", "x </think> ", "I </think>", "<think></think>", "[/THINK]"])
def test_marks_that_go_on_for_long_are_settled_too(piece):
    text = piece * (40_000 // len(piece))
    for left in (without_thoughts(text), without_thoughts(text + A)):
        assert left == without_thoughts(left)
    assert without_thoughts(text + A).endswith(A)


MARKS = [
    "<think>",
    "</think>",
    "<|channel|>",
    "final",
    "<|message|>",
    "A dog. ",
    " a cat\n",
    "[THINK]",
    "◁/think▷",
    "analysisA",
]


@given(st.lists(st.sampled_from(MARKS), max_size=9).map("".join))
def test_what_is_left_of_any_mixture_is_settled(text):
    """Cutting again cuts no more, and a mark at the beginning does not get through."""
    rest = without_thoughts(text)
    assert len(rest) <= len(text)
    if not has_thoughts(rest):
        assert without_thoughts(rest) == rest
        assert not rest.lstrip().startswith(("<think>", "</think>", "[THINK]", "◁/think▷", "<|channel|>"))


# A server of a reasoning model ----------------------------------------------------------------------------------------

MESSAGES = [
    {"content": f"<think>I see a square.</think>\n\n{A}"},
    {"content": A, "reasoning_content": "The user wants a caption, so I describe the picture."},
    {"content": A, "reasoning": "The user wants a caption, so I describe the picture."},
    {"content": None, "reasoning_content": "The user wants a caption"},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": A}]},
    {"content": "**Caption:** A red square."},
]


@pytest.fixture
def reasoning_server():
    """Says the messages in turn, by the number in the prompt's hint."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            number = next((number for number in range(len(MESSAGES)) if f"<text>alt {number}<" in body), 1)
            message = {"role": "assistant", **MESSAGES[number]}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            found = {"id": "x", "object": "chat.completion", "created": 0, "model": "r1", "choices": [choice]}
            data = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_thoughts_of_a_server_are_no_captions(tmp_path, monkeypatch, reasoning_server):
    """Raw answers are saved, the filter alone cuts them: another filter asks nobody."""
    monkeypatch.setenv(KEY_NAME, KEY)
    settings = server_settings(reasoning_server, max_failures=0.5)
    source = write_images(tmp_path / "source", len(MESSAGES))
    selection = write_selection(tmp_path / "selected", all_ids(len(MESSAGES)))
    run(settings, source, selection, tmp_path / "captions", tmp_path / "runs")
    rows = [json.loads(line) for line in (tmp_path / "captions/captions.jsonl").read_text().splitlines()]
    assert {row["id"]: row["caption"] for row in rows} == {
        "000000": MESSAGES[0]["content"],
        "000001": A,
        "000002": A,
        "000004": A,
        "000005": "**Caption:** A red square.",
    }
    (failure,) = map(json.loads, (tmp_path / "captions/failures.jsonl").read_text().splitlines())
    assert failure["reason"] == "empty reply: nothing but thoughts; raise sampling.max_tokens, or turn them off"
    run_filter(FilterSettings(split="train", quality=Quality()), tmp_path / "captions", source, tmp_path / "out")
    numbers = json.loads((tmp_path / "out/statistics.json").read_text())
    assert (numbers["num_captions"], numbers["cut"], numbers["dropped"]["label"]) == (4, {"thoughts": 1}, 1)
    assert numbers["failures"] == {"empty reply": 1}
    kept = [json.loads(line)["caption"] for line in (tmp_path / "out/captions.jsonl").read_text().splitlines()]
    assert kept == [A] * 4


def test_the_engine_alone_cuts_nothing(monkeypatch, tmp_path, reasoning_server):
    monkeypatch.setenv(KEY_NAME, KEY)
    shards = Shards(write_images(tmp_path / "source", 1) / "train")
    (found,) = Engine(server_settings(reasoning_server).captions.engine).caption(read_samples(shards, ["000000"]))
    assert found.caption == MESSAGES[0]["content"]
