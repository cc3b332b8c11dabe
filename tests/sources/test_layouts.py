"""Files in the layouts that datasets are published in, built by hand, import to the same samples."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.config.sources.conversations import ConversationsSource
from pargo.data.shards import Shards
from pargo.sources.importers.conversations import import_conversations
from tests.data.test_shards import png

DOT, LINE = png(1), png(2)
# what every file of LAYOUTS says: two images, of which the second is asked about twice
SAMPLES = [
    (DOT, [["What is it?", "A dot."]]),
    (LINE, [["Is it red?", "Yes"], ["What does the token <image> mean?", "No, <image> is text."]]),
]
((FIRST, FIRST_ANSWER),) = SAMPLES[0][1]
(SECOND, SECOND_ANSWER), (THIRD, THIRD_ANSWER) = SAMPLES[1][1]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "1.png").write_bytes(DOT)
    (tmp_path / "images" / "2 b.png").write_bytes(LINE)
    return tmp_path


def bring(folder: Path, entries: list, suffix: str = ".json", **settings: object) -> Path:
    path = folder / f"list{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(entries), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    else:
        path.write_text(json.dumps(entries))
    source = {"kind": "conversations", "annotations": (str(path),), "images": str(folder / "images"), **settings}
    output = folder / f"out{len(list(folder.iterdir()))}"
    import_conversations(ConversationsSource.model_validate(source), output)
    return output


def samples(output: Path) -> list:
    shards = Shards(output / "train")
    return [(shards.read(name), shards.record(name)["conversation"]) for name in shards.ids]


def said(speakers: tuple[str, str], keys: tuple[str, str], *turns: tuple[object, object]) -> list[dict]:
    return [dict(zip(keys, one, strict=True)) for turn in turns for one in zip(speakers, turn, strict=True)]


def llava(*turns: tuple[object, object]) -> list[dict]:
    return said(("human", "gpt"), ("from", "value"), *turns)


def chat(*turns: tuple[object, object]) -> list[dict]:
    return said(("user", "assistant"), ("role", "content"), *turns)


def parts(image: dict, text: str) -> list[dict]:
    return [image, {"type": "text", "text": text}]


def embedded(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


ONE, TWO = [(FIRST, FIRST_ANSWER)], [(SECOND, SECOND_ANSWER), (THIRD, THIRD_ANSWER)]
MARKED_ONE = [(f"<image>\n{FIRST}", FIRST_ANSWER)]
MARKED_TWO = [(f"{SECOND}\n<image>", SECOND_ANSWER), (THIRD, THIRD_ANSWER)]  # LLaVA has it at either end
INLINE_TWO = [(f"<image>{SECOND}", SECOND_ANSWER), (THIRD, THIRD_ANSWER)]
HELPFUL = "You are a helpful assistant."

LAYOUTS: dict[str, list] = {
    "LLaVA": [
        {"id": "1", "image": "a/1.png", "conversations": llava(*MARKED_ONE)},
        {"id": "2", "image": "2 b.png", "model": "", "conversations": llava(*MARKED_TWO)},
    ],
    "ShareGPT with system": [
        {"image": "a/1.png", "system": HELPFUL, "conversations": llava(*MARKED_ONE)},
        {"image": "2 b.png", "conversations": [{"from": "system", "value": HELPFUL}, *llava(*MARKED_TWO)]},
    ],
    "ShareGPT of ms-swift": [
        {
            "images": ["a/1.png"],
            "system": HELPFUL,
            "conversation": [{"human": f"<image>{FIRST}", "assistant": FIRST_ANSWER}],
        },
        {
            "images": ["2 b.png"],
            "conversation": [{"human": asked, "assistant": answer} for asked, answer in INLINE_TWO],
        },
    ],
    "LLaMA-Factory sharegpt": [
        {"messages": chat((f"<image>{FIRST}", FIRST_ANSWER)), "images": ["a/1.png"]},
        {"messages": [{"role": "system", "content": HELPFUL}, *chat(*INLINE_TWO)], "images": ["2 b.png"], "videos": []},
    ],
    "LLaMA-Factory alpaca": [
        {"instruction": f"<image>{FIRST}", "input": "", "output": FIRST_ANSWER, "images": ["a/1.png"]},
        {
            "instruction": THIRD,
            "output": THIRD_ANSWER,
            "history": [[f"<image>{SECOND}", SECOND_ANSWER]],
            "images": ["2 b.png"],
        },
    ],
    "ms-swift messages": [
        {"messages": chat((f"<image>{FIRST}", FIRST_ANSWER)), "images": [{"bytes": None, "path": "a/1.png"}]},
        {"messages": chat(*INLINE_TWO), "images": "2 b.png"},
    ],
    "ms-swift query": [
        {"query": f"<image>{FIRST}", "response": FIRST_ANSWER, "history": [], "images": ["a/1.png"]},
        {
            "query": THIRD,
            "response": THIRD_ANSWER,
            "history": [INLINE_TWO[0]],
            "images": ["2 b.png"],
            "system": HELPFUL,
        },
    ],
    "Qwen-VL": [
        {
            "id": "1",
            "conversations": said(
                ("user", "assistant"), ("from", "value"), (f"<img>a/1.png</img>{FIRST}", FIRST_ANSWER)
            ),
        },
        {
            "id": "2",
            "conversations": said(
                ("user", "assistant"),
                ("from", "value"),
                (f"Picture 1: <img>2 b.png</img>\n{SECOND}", SECOND_ANSWER),
                TWO[1],
            ),
        },
    ],
    "Qwen2-VL parts": [
        {"messages": chat((parts({"type": "image", "image": "a/1.png"}, FIRST), FIRST_ANSWER))},
        {
            "messages": chat(
                (
                    parts({"type": "image", "image": "file://IMAGES/2%20b.png", "max_pixels": 50176}, SECOND),
                    SECOND_ANSWER,
                ),
                (THIRD, [{"type": "text", "text": THIRD_ANSWER}]),
            )
        },
    ],
    "OpenAI parts": [
        {"messages": chat((parts({"type": "image_url", "image_url": {"url": embedded(DOT)}}, FIRST), FIRST_ANSWER))},
        {
            "messages": [
                {"role": "system", "content": HELPFUL},
                *chat(
                    (
                        parts({"type": "image_url", "image_url": {"url": "IMAGES/2 b.png", "detail": "low"}}, SECOND),
                        SECOND_ANSWER,
                    ),
                    TWO[1],
                ),
            ]
        },
    ],
    "OpenAI responses": [
        {
            "messages": chat(
                (
                    [{"type": "input_text", "text": FIRST}, {"type": "input_image", "image_url": embedded(DOT)}],
                    FIRST_ANSWER,
                )
            )
        },
        {"messages": chat((parts({"type": "input_image", "image_url": "2 b.png"}, SECOND), SECOND_ANSWER), TWO[1])},
    ],
    "Anthropic parts": [
        {
            "messages": chat(
                (
                    parts(
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": base64.b64encode(data).decode(),
                            },
                        },
                        turns[0][0],
                    ),
                    turns[0][1],
                ),
                *turns[1:],
            )
        }
        for data, turns in SAMPLES
    ],
    "TRL parts": [
        {"images": [name], "messages": chat((parts({"type": "image"}, turns[0][0]), turns[0][1]), *turns[1:])}
        for name, (_, turns) in zip(("a/1.png", "2 b.png"), SAMPLES, strict=True)
    ],
    # as in HuggingFaceH4/llava-instruct-mix-vsft: a table, where every part has all fields
    "TRL rows": [
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"index": None, "text": turns[0][0], "type": "text"},
                        {"index": 0, "text": None, "type": "image"},
                    ],
                },
                *(
                    {"role": role, "content": [{"index": None, "text": text, "type": "text"}]}
                    for role, text in [
                        ("assistant", turns[0][1]),
                        *(
                            (role, text)
                            for turn in turns[1:]
                            for role, text in zip(("user", "assistant"), turn, strict=True)
                        ),
                    ]
                ),
            ],
            "images": [{"bytes": data, "path": None}],
        }
        for data, turns in SAMPLES
    ],
    "InternVL lines": [
        {"id": 0, "image": "a/1.png", "width": 4, "height": 4, "conversations": llava(*MARKED_ONE)},
        {"id": 1, "image": ["2 b.png"], "width_list": [4], "height_list": [4], "conversations": llava(*MARKED_TWO)},
    ],
    "MiniCPM-V": [
        {"id": "0", "image": "a/1.png", "conversations": chat(*MARKED_ONE)},
        {
            "id": "1",
            "image": {"<image_00>": "2 b.png"},
            "conversations": chat((f"<image_00>\n{SECOND}", SECOND_ANSWER), TWO[1]),
        },
    ],
    "LLaVA-OneVision rows": [
        {"id": "0", "image": {"bytes": DOT, "path": "1.png"}, "conversations": llava(*MARKED_ONE), "data_source": "x"},
        {"id": "1", "image": {"bytes": LINE, "path": None}, "conversations": llava(*MARKED_TWO), "data_source": "x"},
    ],
    "the Cauldron rows": [
        {
            "images": [{"bytes": DOT, "path": None}],
            "texts": [{"user": FIRST, "assistant": FIRST_ANSWER, "source": "x"}],
        },
        {
            "images": [{"bytes": LINE, "path": None}],
            "texts": [{"user": q, "assistant": a, "source": "x"} for q, a in TWO],
        },
    ],
    "Ollama": [
        {"messages": [{"role": "user", "content": turns[0][0], "images": [name]}, *chat(*turns)[1:]]}
        for name, (_, turns) in zip(("a/1.png", "2 b.png"), SAMPLES, strict=True)
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_imports_to_the_same_samples(folder, layout):
    entries = LAYOUTS[layout]
    suffix = {"rows": ".parquet", "lines": ".jsonl"}.get(layout.split()[-1], ".json")
    if suffix != ".parquet":
        entries = json.loads(json.dumps(entries).replace("IMAGES", str(folder / "images")))
    output = bring(folder, entries, suffix, max_broken=0)
    assert samples(output) == SAMPLES
    counts = json.loads((output / "counts.json").read_text())
    assert (counts["samples"], counts["without_image"], counts["broken"]) == (2, 0, 0)
    assert counts.get("system_left_out", 0) == json.dumps(entries, default=str).count(HELPFUL)


@pytest.mark.parametrize(
    "fields",
    [
        {"caption": "A dot."},
        {"text": "A dot."},
        {"conversations": llava(("<image>", "A dot."))},
        {"messages": chat(([{"type": "image"}], "A dot."))},
    ],
)
def test_captions_ask_nothing(folder, fields):
    assert samples(bring(folder, [{"image": "a/1.png", **fields}])) == [(DOT, [["", "A dot."]])]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "image",
            "images",
            "image_path",
            "image_paths",
            "image_file",
            "image_name",
            "img",
            "img_path",
            "picture",
            "photo",
        ),
        *("file_name", "filename", "image_url", "image_1"),
    ],
)
def test_fields_that_name_an_image(folder, name):
    output = bring(folder, [{name: "a/1.png", "question": FIRST, "answer": FIRST_ANSWER}])
    assert samples(output) == SAMPLES[:1]
    assert json.loads((output / "counts.json").read_text())["unknown_fields"] == {}


def test_an_instruction_and_its_input_are_one_question(folder):
    output = bring(folder, [{"instruction": "Sort:", "input": "b a", "output": "a b", "images": ["a/1.png"]}])
    assert samples(output) == [(DOT, [["Sort:\nb a", "a b"]])]


@pytest.mark.parametrize(
    "answers",
    [
        {"answer": "A dot."},
        {"answers": ["", "A dot.", "", "A line.", "A dot.", ""]},
        {"answers": [{"answer": "A dot.", "answer_id": 1}, {"answer": "A line.", "answer_id": 2}]},
        {"answer": None, "answers": ["A dot."]},
        {"multiple_choice_answer": "A dot.", "answers": [{"answer": "A dot."}]},
    ],
)
def test_forms_of_answers(folder, answers):
    assert samples(bring(folder, [{"image": "a/1.png", "question": FIRST, **answers}])) == SAMPLES[:1]


def test_one_image_by_two_names_is_one(folder):
    whole = str(folder / "images" / "a" / "1.png")
    entries = [
        {"image": "a/1.png", "images": ["a/1.png"], "file_name": "other.png", "caption": "A dot."},
        {"image": whole, "caption": "Round."},
        {"image": "./a//1.png", "caption": "Red."},
    ]
    output = bring(folder, entries, merge=True, licences={"a": "CC0"})
    assert samples(output) == [(DOT, [["", "A dot."], ["", "Round."], ["", "Red."]])]
    record = Shards(output / "train").record("0000000")
    assert (record["file"], record["licence"]) == ("a/1.png", "CC0")


def test_an_image_in_the_entry_has_the_entry_as_its_name(folder):
    output = bring(folder, [{"image": embedded(DOT), "caption": "A dot."}])
    assert Shards(output / "train").record("0000000")["file"] == "list.json, entry 0"
