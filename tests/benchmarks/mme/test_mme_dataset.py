"""MME's flat folder layout is read strictly, and it is asked as its presets say."""

from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from pargo.benchmarks.answering.prompts import SYSTEM
from pargo.benchmarks.mme.dataset import read_questions
from pargo.benchmarks.mme.prompt import PRESETS
from pargo.benchmarks.mme.tasks import GROUPS, NUM_IMAGES, TASKS
from pargo.config.benchmarks.mini_mme import MiniMME
from pargo.config.benchmarks.mme import MME
from pargo.data.images import open_images
from pargo.errors import PargoError
from pargo.sources.mini_mme import write_mini_mme
from tests.helpers.tiny_tokenizers import family, spell

BENCHMARK = MiniMME(kind="mini_mme", source="mini_mme")
GOOD = "Is it red?\tYes\nIs it blue?\tNo\n"


def write_pair(root: Path, task: str, name: str, text: str = GOOD) -> Path:
    folder = root / "test" / task
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(folder / f"{name}.png")
    path = folder / f"{name}.txt"
    path.write_bytes(text.encode())
    return path


def test_reads_official_order_and_ids_of_the_images(tmp_path):
    for task in ("OCR", "color", "existence"):
        for name in ("b", "a"):
            write_pair(tmp_path, task, name)
    questions = read_questions(tmp_path, BENCHMARK)
    assert [question.task for question in questions] == ["existence"] * 4 + ["color"] * 4 + ["OCR"] * 4
    assert [question.id for question in questions[:4]] == [f"existence/{name}-{n}" for name in "ab" for n in (1, 2)]
    assert [question.label for question in questions] == ["Yes", "No"] * 6
    assert questions[0].question == "Is it red?"
    assert {question.image for question in questions} == set(open_images(tmp_path, "test").ids)


def test_reads_what_the_mini_mme_source_writes(tmp_path):
    write_mini_mme(tmp_path, seed=1, images_per_task=2, image_size=32)
    questions = read_questions(tmp_path, BENCHMARK)
    assert list(dict.fromkeys(question.task for question in questions)) == [
        "existence",
        "count",
        "position",
        "color",
        "OCR",
    ]
    assert len(questions) == 20
    assert all(question.question.endswith("? Please answer yes or no.") for question in questions)


@pytest.mark.parametrize("text", [GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD.removesuffix("\n")])
def test_line_ends_and_byte_order_marks_do_not_matter(tmp_path, text):
    write_pair(tmp_path, "count", "a", text)
    assert [question.question for question in read_questions(tmp_path, BENCHMARK)] == ["Is it red?", "Is it blue?"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.txt: 0 line\(s\), expected 2"),
        ("Is it red?\tYes\n", r"a\.txt: 1 line\(s\), expected 2"),
        (GOOD + "Is it?\tNo\n", r"a\.txt: 3 line\(s\), expected 2"),
        (GOOD + "\n", r"a\.txt: 3 line\(s\), expected 2"),
        ("Is it red? Yes\nIs it blue?\tNo\n", r"a\.txt:1: 0 tab\(s\), expected one"),
        ("Is it red?\tYes\nIs it\tblue?\tNo\n", r"a\.txt:2: 2 tab\(s\), expected one"),
        ("Is it red?\tYes\n \tNo\n", r"a\.txt:2: empty question"),
        ("Is it red?\tYes\nIs it blue?\tMaybe\n", r"a\.txt:2: answer 'Maybe', expected 'No'"),
        ("Is it red?\tYes\nIs it blue?\tno\n", r"a\.txt:2: answer 'no', expected 'No'"),
        ("Is it red?\tNo\nIs it blue?\tYes\n", r"a\.txt:1: answer 'No', expected 'Yes'"),
        ("Is it red?\tYes\nIs it blue?\tYes\n", r"a\.txt:2: answer 'Yes', expected 'No'"),
    ],
)
def test_a_bad_text_is_refused_by_file_and_line(tmp_path, text, message):
    write_pair(tmp_path, "count", "a", text)
    with pytest.raises(PargoError, match=message):
        read_questions(tmp_path, BENCHMARK)


def test_text_that_is_not_utf8(tmp_path):
    write_pair(tmp_path, "count", "a").write_bytes(b"\xff\tYes\n?\tNo\n")
    with pytest.raises(PargoError, match=r"a\.txt: not UTF-8: .* at byte 0"):
        read_questions(tmp_path, BENCHMARK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "a.png").unlink(), r"a\.txt: no image of this name"),
        (lambda folder: (folder / "a.txt").unlink(), r"a\.png: no a\.txt"),
        (lambda folder: (folder / "a.jpg").touch(), r"a\.png: a\.jpg has the same name"),
        (lambda folder: (folder / "notes.md").touch(), r"notes\.md: neither an image"),
        (lambda folder: (folder / "images").mkdir(), r"images: neither an image"),
        (lambda folder: (folder.parent / "ocr").mkdir(), r"ocr: not a task of MME; choices: existence, .*OCR"),
        (lambda folder: (folder.parent / "OCR").mkdir(), r"OCR holds no questions"),
    ],
)
def test_a_bad_folder_is_refused(tmp_path, change, message):
    folder = write_pair(tmp_path, "count", "a").parent
    write_pair(tmp_path, "count", "b")
    change(folder)
    with pytest.raises(PargoError, match=message):
        read_questions(tmp_path, BENCHMARK)


def test_no_tasks_at_all(tmp_path):
    with pytest.raises(PargoError, match=r"test holds no task folders; MME's are existence, "):
        read_questions(tmp_path, BENCHMARK)


def test_fourteen_official_tasks():
    assert len(set(TASKS)) == len(TASKS) == 14
    assert (*GROUPS["perception"], *GROUPS["cognition"]) == TASKS
    assert sum(NUM_IMAGES.values()) == 1187  # 2374 questions


@pytest.mark.parametrize(
    ("name", "text", "tokens", "beams"),
    [
        ("official", "[image]\nIs it red? Please answer yes or no.", 128, 1),
        ("compact", "[image]\nIs it red?", 128, 1),
        (
            "llava",
            f"<s>{SYSTEM} USER: [image]\nIs it red?\nAnswer the question using a single word or phrase. ASSISTANT:",
            128,
            1,
        ),
        (
            "pargo_release",
            f"<s>{SYSTEM} USER: <Img>[image]</Img> Is it red?\n"  # as its files have it, without MME's own sentence
            "Answer the question using a single word(Yes or No)\nASSISTANT: ",
            100,
            4,
        ),
    ],
)
def test_presets(tmp_path, name, text, tokens, beams):
    write_pair(tmp_path, "count", "a", GOOD.replace("?", "? Please answer yes or no."))
    question = read_questions(tmp_path, BENCHMARK)[0]
    preset = PRESETS[name]
    found = spell(family("llama2"), preset.encode(family("llama2"), question))
    # the two texts around the image begin with sentencepiece's space, which is no part of them
    assert found.count("<s> ") == text.count("<s>")
    assert found.replace("<s> ", "<s>").replace("[image] ", "[image]") == text
    assert (preset.max_new_tokens, preset.num_beams) == (tokens, beams)


def test_every_preset_of_the_config_is_there():
    for kind in (MME, MiniMME):
        assert set(get_args(kind.model_fields["prompt"].annotation)) == set(PRESETS)
        assert kind.model_fields["prompt"].default in PRESETS


def test_a_part_of_mme_is_refused_unless_it_is_named_so(tmp_path):
    write_mini_mme(tmp_path, seed=1, images_per_task=1, image_size=32)
    with pytest.raises(PargoError, match=r"2 questions of existence, MME has 60; `partial: true` accepts a part"):
        read_questions(tmp_path, MME(kind="mme", source="mme"))
    part = read_questions(tmp_path, MME(kind="mme", source="mme", partial=True))
    assert part == read_questions(tmp_path, BENCHMARK)
