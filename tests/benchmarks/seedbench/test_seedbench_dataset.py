"""All official forms of SEED-Bench give the same source, and faults in them are named."""

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.benchmarks.answering.prompts import options_block
from pargo.benchmarks.records import Question
from pargo.benchmarks.seedbench import dataset
from pargo.benchmarks.seedbench.dataset import HUB_DIMENSIONS, import_files, read_questions
from pargo.benchmarks.seedbench.prompt import PRESETS
from pargo.config.benchmarks.seedbench import SEEDBench
from pargo.data.images import open_images
from pargo.errors import PargoError
from tests.helpers.seedbench_files import TYPES, annotations, image_bytes, question, video, write

BENCHMARK = SEEDBench(kind="seedbench", source="seedbench")
QUESTIONS = [question(number, 1 + number % 9) for number in range(12)]
IMAGES = {item["data_id"]: image_bytes(int(item["data_id"].split("_")[0])) for item in QUESTIONS}


def folder(root: Path, extension: str = "", **changes: bytes | None) -> Path:
    """The official folder; `changes` replace or remove images."""
    write(root / "SEED-Bench.json", annotations([*QUESTIONS, video(1), QUESTIONS[2]]))
    (root / "SEED-Bench-image").mkdir()
    for name, data in (IMAGES | changes).items():
        if data is not None:
            (root / "SEED-Bench-image" / f"{name}{extension}").write_bytes(data)
    return root


def table(path: Path, rows: list[dict]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def hub_rows() -> list[dict]:
    rows = [item | {"segment": None} for item in [*QUESTIONS, video(1), QUESTIONS[2]]]
    data = {key: [{"bytes": value, "path": None}] for key, value in IMAGES.items()}
    return [row | {"image": data.get(row["data_id"], [{"bytes": b"", "path": None}] * 8)} for row in rows]


def imported(root: Path, *paths: Path) -> list[Question]:
    import_files(paths, root / "source" / "test")
    questions = read_questions(root / "source", BENCHMARK)
    images = open_images(root / "source", "test")
    assert set(images.ids) == {item.image for item in questions}
    for item in questions:
        assert images.read(item.image) == IMAGES[item.details["data_id"]]
    return questions


EXPECTED = [
    Question(
        id=item["question_id"],
        task=list(TYPES)[item["question_type_id"] - 1],
        image=f"images/{item['data_id']}.jpg",
        question=item["question"],
        label=item["answer"],
        options={"A": "One", "B": "Two", "C": "A red cat", "D": "A"},
        details={"question_type_id": str(item["question_type_id"]), "data_id": item["data_id"]}
        | ({"repeats": "1"} if item is QUESTIONS[2] else {}),
    )
    for item in QUESTIONS
]


@pytest.mark.parametrize("extension", ["", ".jpg", ".JPEG"])
def test_folder(tmp_path, extension):
    (tmp_path / "official").mkdir()
    assert imported(tmp_path, folder(tmp_path / "official", extension)) == EXPECTED


def test_json_and_folder_apart(tmp_path):
    (tmp_path / "official").mkdir()
    official = folder(tmp_path / "official")
    assert imported(tmp_path, official / "SEED-Bench.json", official / "SEED-Bench-image") == EXPECTED


@pytest.mark.parametrize("with_json", [True, False])
def test_zip(tmp_path, with_json):
    (tmp_path / "official").mkdir()
    official = folder(tmp_path / "official")
    with zipfile.ZipFile(tmp_path / "seed.zip", "w") as archive:
        for path in sorted(official.rglob("*")):
            if with_json or path.suffix != ".json":
                archive.write(path, path.relative_to(official))
        archive.writestr("__MACOSX/SEED-Bench-image/._0_77", b"junk")
        archive.writestr("__MACOSX/SEED-Bench-image/0_77", b"junk")
    paths = [tmp_path / "seed.zip"] if with_json else [official / "SEED-Bench.json", tmp_path / "seed.zip"]
    assert imported(tmp_path, *paths) == EXPECTED


def test_hub(tmp_path):
    rows = hub_rows()
    paths = [table(tmp_path / "test-0.parquet", rows[:5]), table(tmp_path / "test-1.parquet", rows[5:])]
    assert imported(tmp_path, *paths) == EXPECTED
    assert list(HUB_DIMENSIONS.values()) == list(TYPES)[:9]


def test_hub_with_names_of_a_json(tmp_path):
    (tmp_path / "data").mkdir()
    table(tmp_path / "data" / "test-0.parquet", hub_rows())
    swapped = TYPES | {"Instance Attributes": 4, "Instance Location": 3}
    write(tmp_path / "data" / "SEED-Bench.json", annotations([], swapped))
    tasks = {item.details["question_type_id"]: item.task for item in imported(tmp_path, tmp_path / "data")}
    assert (tasks["3"], tasks["4"]) == ("Instance Location", "Instance Attributes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"3_77": None}, r"questions\[6\]: no file named 3_77 or 3_77.png or .* in .*official"),
        ({"3_77.png": b"x"}, r"questions\[6\]: 2 files, e.g. .*3_77 and .*3_77.png, named 3_77 or "),
        ({"3_77": b"junk"}, r"questions\[6\]: image '3_77': not an image"),
        ({"3_77": image_bytes(3, "GIF")}, r"questions\[6\]: image '3_77': image format GIF, expected one of JPEG, PNG"),
    ],
)
def test_bad_images(tmp_path, changes, message):
    (tmp_path / "official").mkdir()
    with pytest.raises(PargoError, match=message):
        imported(tmp_path, folder(tmp_path / "official", **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": []}, r"test.parquet: row 2: `image` must hold the bytes of one image, found \[\]"),
        ({"image": [{"bytes": None, "path": "a.jpg"}]}, r"test.parquet: row 2: `image` must hold the bytes"),
        ({"image": [{"bytes": image_bytes(99), "path": ""}]}, r"row 2: image '0_77' is other than in an earlier row"),
        ({"question_type_id": 77}, r"row 2: question_type_id 77 is not in question_type: 1, 2"),
        ({"answer": None}, r"row 2: `answer` is None, expected a text"),
        ({"question_id": "1000"}, r"row 2: question '1000' again, and other than in .*row 1"),
    ],
)
def test_bad_hub_rows(tmp_path, change, message):
    rows = hub_rows()
    rows[1] |= change
    with pytest.raises(PargoError, match=message):
        imported(tmp_path, table(tmp_path / "test.parquet", rows))


def test_bad_files(tmp_path):
    path = table(
        tmp_path / "a.parquet", [{key: value for key, value in row.items() if key != "choice_b"} for row in hub_rows()]
    )
    with pytest.raises(PargoError, match=r"a\.parquet: no column 'choice_b'; expected question_id, .*, choice_a"):
        imported(tmp_path, path)
    (tmp_path / "b.parquet").write_bytes(b"PAR1junk")
    with pytest.raises(PargoError, match=r"b.parquet: not a readable parquet file"):
        imported(tmp_path, tmp_path / "b.parquet")
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04junk")
    with pytest.raises(PargoError, match=r"b.zip: not a readable zip"):
        imported(tmp_path, tmp_path / "b.zip")
    with pytest.raises(PargoError, match=r"nowhere does not exist"):
        imported(tmp_path, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PargoError, match=r"0 JSON files in .*, expected one SEED-Bench.json, or parquet tables"):
        imported(tmp_path, tmp_path / "empty")
    for name in ("a.json", "b.json"):
        write(tmp_path / "empty" / name, annotations([]))
    with pytest.raises(PargoError, match=r"2 JSON files in .*, expected one SEED-Bench.json"):
        imported(tmp_path, tmp_path / "empty")


def test_a_zip_with_a_damaged_image(tmp_path):
    with zipfile.ZipFile(tmp_path / "seed.zip", "w") as archive:
        archive.writestr("SEED-Bench.json", json.dumps(annotations(QUESTIONS)))
        for name, data in IMAGES.items():
            archive.writestr(name, data)
    data = bytearray((tmp_path / "seed.zip").read_bytes())
    at = data.index(IMAGES["0_77"])
    data[at + 4] ^= 255
    (tmp_path / "seed.zip").write_bytes(data)
    with pytest.raises(PargoError, match=r"cannot read .*seed.zip/0_77: Bad CRC-32"):
        imported(tmp_path, tmp_path / "seed.zip")


def test_prompts():
    item = EXPECTED[0]
    block = "A. One\nB. Two\nC. A red cat\nD. A"
    assert options_block(item) == block
    assert {name: preset.wording(item) for name, preset in PRESETS.items()} == {
        "official": "Question: What is in image 0?\nAnswer:",
        "llava": f"What is in image 0?\n{block}\nAnswer with the option's letter from the given choices directly.",
        "compact": f"What is in image 0?\n{block}",
    }
    assert set(PRESETS) == set(SEEDBench.model_fields["prompt"].annotation.__args__)


def test_tables_that_count_dimensions_as_the_older_version_are_refused(monkeypatch):
    monkeypatch.setattr(dataset, "NUM_QUESTIONS", 3)
    names = ["Instance Attributes", "Instance Location", "Instance Location"]
    questions = [
        Question(id=str(number), task=name, image="a.jpg", question="?", label="A", options={"A": "x", "B": "y"})
        for number, name in enumerate(names)
    ]
    with pytest.raises(PargoError, match=r"1 questions of dimension 3 and 2 of 4, .* put SEED-Bench\.json beside them"):
        dataset._check_dimensions(questions, "tables")
    dataset._check_dimensions(questions[:2], "tables")  # a part tells nothing
