# ruff: noqa: RUF001 (Chinese punctuation)
"""MMBench's official files become the same questions in every form; prompts; predictions survive the official xlsx."""

import random
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.benchmarks.mmbench import results
from pargo.benchmarks.mmbench.dataset import import_files, read_questions
from pargo.benchmarks.mmbench.missing import read_options
from pargo.benchmarks.mmbench.prompt import PRESETS
from pargo.benchmarks.records import Answered, Prediction, Question
from pargo.benchmarks.scores.score import score_answers, score_files
from pargo.config.benchmarks.mmbench import MMBench
from pargo.data.images import open_images
from pargo.errors import PargoError
from tests.helpers.mmbench_official import TEXTS, encode, make_rows, picture, write_table

BENCHMARK = MMBench(kind="mmbench", source="mmbench")
LEAVES = {"ocr": ("FP-S", 2), "image_scene": ("CP", 2)}
SIZES = [2, 4, 3, 4]


def group(row: dict) -> int:
    return int(row["index"]) % 1_000_000


def make_table() -> list[dict]:
    """Rows with images: each question has another one, the last a PNG. In the hub, `nan` is a missing text."""
    rows = make_rows(random.Random(5), LEAVES, SIZES, texts=[text for text in TEXTS if text != "nan"])
    last = group(rows[-1])
    return [{**row, "image": picture(group(row), "PNG" if group(row) == last else "JPEG")} for row in rows]


def legacy(path: Path) -> list[Path]:
    rows = make_table()
    return [write_table([{**row, "image": encode(row["image"])} for row in rows], path / "MMBench_DEV_EN.tsv")]


def indexed(path: Path) -> list[Path]:
    rows = make_table()
    held = [{**row, "image": encode(row["image"]) if int(row["index"]) < 1e6 else str(group(row))} for row in rows]
    return [write_table(held, path / "MMBench_DEV_EN_V11.tsv")]


def wrapped_crlf(path: Path) -> list[Path]:
    rows = [{**row, "image": "\n".join([encode(row["image"])[:40], encode(row["image"])[40:]])} for row in make_table()]
    table = write_table(rows, path / "table.tsv")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    return [table]


def hub(path: Path, kind: type = int) -> list[Path]:
    rows = [{**row, "index": kind(row["index"]), "L2-category": row["l2-category"]} for row in make_table()]
    for row in rows:
        del row["l2-category"]
        row["image"] = {"bytes": row["image"], "path": None}
        row |= {letter: row[letter] or ("nan" if kind is str else None) for letter in ("C", "D", "hint")}
    (path / "en").mkdir()
    for number, part in enumerate((rows[:5], rows[5:])):
        pq.write_table(pa.Table.from_pylist(part), path / "en" / f"dev-0000{number}-of-00002.parquet")
    return [path / "en"]


def hub_text(path: Path) -> list[Path]:
    return hub(path, str)


def imported(paths: list[Path], directory: Path) -> list[Question]:
    import_files(paths, directory / "test")
    return read_questions(directory, BENCHMARK)


@pytest.mark.parametrize("form", [legacy, indexed, wrapped_crlf, hub, hub_text])
def test_every_form_gives_the_same_questions(tmp_path, form):
    (tmp_path / "in").mkdir()
    questions = imported(form(tmp_path / "in"), tmp_path / "out")
    rows = make_table()
    for question, row in zip(questions, rows, strict=True):
        table = question.details.pop("table", "")  # tests/benchmarks/mmbench/test_mmbench_edition.py
        assert table in ("", "MMBench_DEV_EN", "MMBench_DEV_EN_V11", "en/dev")
        assert question == Question(
            id=row["index"],
            task=row["category"],
            image=f"{group(row)}{'.png' if group(row) == group(rows[-1]) else '.jpg'}",
            question=row["question"],
            label=row["answer"],
            hint=row["hint"],
            options=read_options(row),  # tests/benchmarks/mmbench/test_mmbench_score.py
            details={"l2-category": row["l2-category"], "split": "dev", "source": "x"},
        )
    images = open_images(tmp_path / "out", "test")
    assert set(images.ids) == {question.image for question in questions}
    assert len(images.ids) == len(SIZES)
    assert all(images.read(question.image) == row["image"] for question, row in zip(questions, rows, strict=True))


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_options_that_read_as_missing_are_not_shown_but_for_none(tmp_path, suffix):
    row = {**make_table()[0], "A": "None", "B": "NA", "C": "a banana", "D": "nan", "answer": "C", "hint": "N/A"}
    if suffix == ".tsv":
        path = write_table([row | {"image": encode(row["image"])}], tmp_path / "a.tsv")
    else:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.Table.from_pylist([row | {"image": {"bytes": row["image"], "path": None}}]), path)
    (question,) = imported([path], tmp_path / "out")
    assert (question.options, question.hint) == ({"A": "None", "C": "a banana"}, "")
    assert PRESETS["compact"].wording(question) == f"{row['question']}\nA. None\nC. a banana"


def test_test_split_and_hub_cc(tmp_path):
    rows = [{**row, "answer": "", "image": encode(row["image"])} for row in make_table()]
    questions = imported([write_table(rows, tmp_path / "a.tsv")], tmp_path / "out")
    assert {question.label for question in questions} == {""}
    kept = ("index", "question", "answer", "A", "B", "C", "D", "category", "source")
    rows = [
        {key: row[key] for key in kept} | {"image": {"bytes": row["image"], "path": "x.jpg"}} for row in make_table()
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "cc.parquet")
    questions = imported([tmp_path / "cc.parquet"], tmp_path / "cc")
    assert all(question.details == {"source": "x"} and question.hint == "" for question in questions)


def test_images_beyond_the_csv_modules_limit(tmp_path):
    data = picture(1) + b"\0" * 200_000
    row = {**make_table()[0], "image": encode(data)}
    imported([write_table([row], tmp_path / "a.tsv")], tmp_path / "out")
    assert open_images(tmp_path / "out", "test").read(f"{row['index']}.jpg") == data


@pytest.mark.parametrize(
    ("number", "cell", "message"),
    [
        (1, "", r"a\.tsv:3: no image"),
        (1, "99", r"a\.tsv:3: image is that of row 99, which is not in the table"),
        (1, "1.0", r"a\.tsv:3: image is that of row 1\.0, which is not in the table"),
        (1, "{index}", r"a\.tsv:3: image is that of row \d+ \(.*a\.tsv:3\), which holds none itself"),
        (1, "abc=", r"a\.tsv:3: image cell: index 'abc=', expected a whole number"),
        (1, "x!" * 40, r"a\.tsv:3: image is not base64: "),
        (1, "猫" * 80, r"a\.tsv:3: image is not base64: "),
        (1, "A" * 81, r"a\.tsv:3: image is not base64: "),
        (0, "QUJD" * 40, r"a\.tsv:2: not an image: "),
    ],
)
def test_bad_image_is_refused_by_line(tmp_path, number, cell, message):
    rows = [{**row, "image": encode(row["image"]), "question": "?"} for row in make_table()]
    rows = [{key: text.replace("\n", " ") for key, text in row.items()} for row in rows]
    rows[number]["image"] = cell.replace("{index}", rows[number]["index"])
    with pytest.raises(PargoError, match=message):
        imported([write_table(rows, tmp_path / "a.tsv")], tmp_path / "out")


def test_bad_files_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.json").touch()
    (tmp_path / "a.zip").touch()
    (tmp_path / "b.parquet").touch()
    pq.write_table(pa.table({"index": [1]}), tmp_path / "c.parquet")
    rows = make_table()[:1]
    pq.write_table(
        pa.Table.from_pylist([{**row, "image": {"bytes": None, "path": "x"}} for row in rows]), tmp_path / "d.parquet"
    )
    pq.write_table(pq.read_table(tmp_path / "d.parquet").slice(0, 0), tmp_path / "e.parquet")
    table = legacy(tmp_path)[0]
    for paths, message in [
        ([], "no files of MMBench"),
        ([tmp_path / "empty"], r"empty holds no \.tsv or \.parquet files"),
        ([tmp_path / "a.json"], r"a\.json: not a file of MMBench"),
        ([tmp_path / "a.zip"], r"a\.zip: not a readable zip"),
        ([tmp_path / "none.tsv"], r"none\.tsv does not exist"),
        ([tmp_path / "b.parquet"], r"b\.parquet: not a readable parquet file"),
        ([tmp_path / "c.parquet"], r"c\.parquet: no column 'question'"),
        ([tmp_path / "d.parquet"], r"d\.parquet: row 1: `image` must hold the bytes of one image"),
        ([tmp_path / "e.parquet"], r"e\.parquet has no rows"),
        ([table, table], r"index \d+ twice, first at .*tsv:2"),
    ]:
        with pytest.raises(PargoError, match=message):
            import_files(paths, tmp_path / "out")


# Export and back ------------------------------------------------------------------------------------------------------


def predictions(tmp_path: Path) -> list[Prediction]:
    rows = make_table()
    questions = imported(legacy(tmp_path), tmp_path / "source")
    return [
        Prediction(**question.model_dump(), answer=row["prediction"], prompt="", parsed="", image_sha256="")
        for question, row in zip(questions, rows, strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_predictions_survive_the_official_table(tmp_path, seed):
    made = predictions(tmp_path)
    for item in made:
        item.details.pop("table")  # no column of the official table
    rng = random.Random(seed)
    nasty = [
        "=A",
        "A\x00",
        "B\x1fC",
        "A\tB",
        "A\nB",
        "_x0041_ B",
        "\ufffe",
        "#N/A",
        "TRUE",
        "1",
        " A",
        "'A",
        "猫 A",
        "x" * 40_000,
    ]
    made = [item.model_copy(update={"answer": rng.choice([item.answer, item.label, *nasty])}) for item in made]
    results.write(made, tmp_path)
    table = tmp_path / "official" / "mmbench.xlsx"
    back = results.read([table], parser="vlmevalkit_2024_08", partial=False)
    by_id = {item.id: item for item in back}
    for item in made:
        other = by_id[item.id]
        assert other.model_dump(exclude={"image", "answer"}) == item.model_dump(
            include=set(other.model_fields_set) - {"image", "answer"}
        )
        if item.answer.isprintable():
            assert other.answer == item.answer[:32_767]
    first = score_answers("mmbench", made, "vlmevalkit_2024_08", 20)
    second = score_files("mmbench", [table], samples=20)
    for part in ("figures", "counts", "baselines"):
        assert getattr(first, part) == getattr(second, part)
    assert first.headline.value == second.headline.value
    for task, entry in first.tasks.items():  # the table has no images: its intervals are by question
        assert entry.score == second.tasks[task].score


def test_intervals_are_by_image_where_images_are_known():
    """Ten questions about each of three images, all right or all wrong: three images say less than thirty."""
    questions = [
        Answered(
            id=str(number),
            task="ocr",
            image=image,
            question="Which?",
            label="A",
            options={"A": "x", "B": "y"},
            answer="A" if number % 3 else "B",
            details={"l2_category": "FP-S"},
        )
        for number, image in ((number, f"{number % 3}.jpg") for number in range(30))
    ]
    known = score_answers("mmbench", questions, "vlmevalkit_2024_08", 500).headline
    unknown = score_answers(
        "mmbench", [answer.model_copy(update={"image": ""}) for answer in questions], "vlmevalkit_2024_08", 500
    ).headline
    assert known.value == unknown.value == 20 / 30
    assert (known.num_images, unknown.num_images) == (3, 30)
    assert known.interval == (0.0, 1.0)
    assert 0.4 < unknown.interval[0] < unknown.interval[1] < 0.9


def test_the_same_predictions_give_the_same_bytes(tmp_path):
    made = predictions(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        results.write(made, tmp_path / name)
    first, second = (tmp_path / name / "official" / "mmbench.xlsx" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:  # no time of day, or it would be another file in the next second
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
        assert re.findall(rb"20\d\d-\d\d-\d\dT", archive.read("docProps/core.xml")) == []


def test_table_for_the_server_has_no_answers_that_are_not_known(tmp_path):
    import pandas as pd

    made = [item.model_copy(update={"label": ""}) for item in predictions(tmp_path)]
    results.write(made, tmp_path)
    table = tmp_path / "official" / "mmbench.xlsx"
    frame = pd.read_excel(table, keep_default_na=False, dtype=str)
    assert list(frame) == [
        *(
            "index",
            "question",
            "hint",
            "A",
            "B",
            "C",
            "D",
            "prediction",
            "category",
            "l2-category",
            "split",
            "source",
            "comment",
        ),
    ]
    assert list(frame["index"]) == [item.id for item in made]
    with pytest.raises(PargoError, match=r"xlsx:2: no answer to score by .* its server scores the xlsx"):
        score_files("mmbench", [table], samples=5)


# Prompts --------------------------------------------------------------------------------------------------------------

ENGLISH = Question(
    id="1",
    task="ocr",
    image="",
    question="What is it?",
    label="A",
    hint="Look.",
    options={"A": "a cat", "B": "None"},
)
CHINESE = ENGLISH.model_copy(update={"question": "这是什么？", "hint": "", "options": {"A": "猫", "B": "狗"}})


@pytest.mark.parametrize(
    ("preset", "question", "text"),
    [
        (
            "official",
            ENGLISH,
            "Hint: Look.\nQuestion: What is it?\nOptions:\nA. a cat\nB. None\n"
            "Please select the correct answer from the options above.",
        ),
        (
            "official",
            CHINESE,
            "Question: 这是什么？\nOptions:\nA. 猫\nB. 狗\nPlease select the correct answer from the options above.",
        ),
        (
            "llava",
            ENGLISH,
            "Look.\nWhat is it?\nA. a cat\nB. None\nAnswer with the option's letter from the given choices directly.",
        ),
        ("llava", CHINESE, "这是什么？\nA. 猫\nB. 狗\n请直接回答选项字母。"),
        (
            "llava",
            ENGLISH.model_copy(update={"hint": "", "options": {"A": "猫"}}),
            "What is it?\nA. 猫\n请直接回答选项字母。",
        ),
        ("compact", ENGLISH, "Look.\nWhat is it?\nA. a cat\nB. None"),
    ],
)
def test_prompts(preset, question, text):
    assert PRESETS[preset].wording(question) == text


def test_presets_are_those_of_the_config():
    assert set(PRESETS) == {"official", "llava", "compact"}
    for name in PRESETS:
        assert MMBench(kind="mmbench", source="s", prompt=name).prompt == name
    assert {name: preset.template for name, preset in PRESETS.items()} == {
        "official": "compact",
        "llava": "vicuna",
        "compact": "compact",
    }
