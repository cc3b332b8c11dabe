"""MME's folder layout is read strictly, and its result files are what the official tool reads."""

from pathlib import Path

import pytest
from PIL import Image

from pargo.benchmarks.mini_mme.dataset import TASKS, export, read_questions
from pargo.benchmarks.records import Prediction
from pargo.config.data import MiniMME
from pargo.data.images import open_images
from pargo.data.mini_mme import write_mini_mme
from pargo.errors import PargoError

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
        ("", r"a\.txt: 1 line\(s\), expected 2"),
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


def test_result_files_keep_every_line_whole(tmp_path):
    answers = ["yes", "", "no\tyes", "No.\nBecause", "a\r\nb", "ja \u2028 nein"]
    predictions = [
        Prediction(
            id=str(number),
            task=("count", "OCR")[number // 4],
            image=f"{('count', 'OCR')[number // 4]}/{number // 2}.png",
            question=f"Is it {number}? Please answer yes or no.",
            label=("Yes", "No")[number % 2],
            prompt="",
            answer=answer,
            parsed="",
            image_sha256="",
        )
        for number, answer in enumerate(answers)
    ]
    export(predictions, tmp_path)
    assert sorted(path.name for path in (tmp_path / "official").iterdir()) == ["OCR.txt", "count.txt"]
    with (tmp_path / "official" / "count.txt").open(encoding="utf-8", newline="\n") as file:
        lines = [line.removesuffix("\n").split("\t") for line in file]
    assert [line[0] for line in lines] == ["0.png", "0.png", "1.png", "1.png"]
    assert lines[2] == ["1.png", "Is it 2? Please answer yes or no.", "Yes", "no yes"]
    assert [line[3] for line in lines] == ["yes", "", "no yes", "No. Because"]
    # as many characters as before, as the parsers count them
    with (tmp_path / "official" / "OCR.txt").open(encoding="utf-8", newline="\n") as file:
        assert [line.removesuffix("\n").split("\t")[3] for line in file] == ["a  b", "ja \u2028 nein"]
