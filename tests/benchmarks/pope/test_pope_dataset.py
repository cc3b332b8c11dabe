"""All official forms of POPE give the same source, and faults in them are named."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.benchmarks.pope.dataset import import_files, read_questions
from pargo.benchmarks.pope.prompt import PRESETS
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.pope import POPE
from pargo.data.images import open_images
from pargo.errors import PargoError
from tests.helpers.pope_files import SPLITS, image_bytes, label, write

BENCHMARK = POPE(kind="pope", source="pope")
LABELS = {split: [label(number, split) for number in range(12)] for split in SPLITS}
IMAGES = {f"COCO_val2014_{number:012d}.jpg": image_bytes(number) for number in range(2)}
EXPECTED = [
    Question(
        id=f"{split}/{row['question_id']}",
        task=split,
        image=f"images/{row['image']}",
        question=row["text"],
        label=row["label"],
        details={"question_id": str(row["question_id"])},
    )
    for split in SPLITS
    for row in LABELS[split]
]


def folder(root: Path, **changes: bytes | None) -> Path:
    """Labels of three splits and COCO's images; `changes` replace or remove images."""
    for split in SPLITS:
        write(root / f"coco_pope_{split}.json", LABELS[split])
    (root / "val2014").mkdir()
    for name, data in (IMAGES | {"COCO_val2014_unused.jpg": b"never read"} | changes).items():
        if data is not None:
            (root / "val2014" / name).write_bytes(data)
    return root


def hub_rows() -> list[dict]:
    return [
        {
            "id": str(number),
            "question_id": str(row["question_id"]),
            "question": row["text"],
            "answer": row["label"],
            "image_source": row["image"].removesuffix(".jpg"),
            "image": {"bytes": IMAGES[row["image"]], "path": None},
            "category": split,
        }
        for split in reversed(SPLITS)
        for number, row in enumerate(LABELS[split])
    ]


def table(path: Path, rows: list[dict]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def imported(root: Path, *paths: Path) -> list[Question]:
    import_files(paths, root / "source" / "test")
    questions = read_questions(root / "source", BENCHMARK)
    images = open_images(root / "source", "test")
    assert {name: images.read(name) for name in images.ids} == {f"images/{name}": data for name, data in IMAGES.items()}
    return questions


def test_folder(tmp_path):
    assert imported(tmp_path, folder(tmp_path / "official")) == EXPECTED


def test_files_and_folder_of_images(tmp_path):
    official = folder(tmp_path / "official")
    labels = [official / f"coco_pope_{split}.json" for split in reversed(SPLITS)]
    assert imported(tmp_path, *labels, official / "val2014") == EXPECTED


def test_zip(tmp_path):
    official = folder(tmp_path / "official")
    with zipfile.ZipFile(tmp_path / "val2014.zip", "w") as archive:
        for path in sorted(official.rglob("*")):
            archive.write(path, path.relative_to(official))
    assert imported(tmp_path, tmp_path / "val2014.zip") == EXPECTED


def test_hub(tmp_path):
    rows = hub_rows()
    (tmp_path / "data").mkdir()
    for number, part in enumerate((rows[:7], rows[7:])):
        table(tmp_path / "data" / f"test-{number}.parquet", part)
    assert imported(tmp_path, tmp_path / "data") == EXPECTED


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"COCO_val2014_000000000001.jpg": None},
            r"adversarial.json:7: image 'COCO.*1.jpg': no file named COCO.*1.jpg in ",
        ),
        (
            {"COCO_val2014_000000000001.jpg": b"junk"},
            r"adversarial.json:7: image 'COCO_val2014_000000000001': not an image",
        ),
    ],
)
def test_bad_images(tmp_path, changes, message):
    with pytest.raises(PargoError, match=message):
        imported(tmp_path, folder(tmp_path / "official", **changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": "hard"}, r"row 2: `category` is 'hard', expected random, popular, adversarial"),
        ({"answer": "No"}, r"row 2: `answer` is 'No', expected yes or no"),
        ({"image": None}, r"row 2: `image` must hold the bytes of one image, found \[None\]"),
        ({"image": {"bytes": image_bytes(9), "path": None}}, r"row 2: image 'COCO.*0' is other than in an earlier row"),
        ({"image_source": "../x"}, r"row 2: image '../x', expected the name of an image"),
        ({"question_id": "1"}, r"row 2: question 'adversarial/1' again, the first is in .*row 1"),
    ],
)
def test_bad_hub_rows(tmp_path, change, message):
    rows = hub_rows()
    rows[1] |= change
    with pytest.raises(PargoError, match=message):
        imported(tmp_path, table(tmp_path / "test.parquet", rows))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "No"}, r"popular.json:3: `label` is 'No', expected yes or no"),
        ({"question_id": 2}, r"popular.json:3: question 'popular/2' again, the first is in .*popular.json:2"),
        ({"text": None}, r"popular.json:3: `text` is None, expected a text"),
        ({"image": "a/b.jpg"}, r"popular.json:3: image 'a/b', expected the name of an image"),
    ],
)
def test_bad_labels(tmp_path, change, message):
    official = folder(tmp_path / "official")
    rows = list(LABELS["popular"])
    rows[2] = rows[2] | change
    write(official / "coco_pope_popular.json", rows)
    with pytest.raises(PargoError, match=message):
        imported(tmp_path, official)


def test_bad_files(tmp_path):
    official = folder(tmp_path / "official")
    write(official / "coco_pope_random_old.json", LABELS["random"])
    with pytest.raises(
        PargoError, match=r"coco_pope_random_old.json: .*coco_pope_random.json is of split random as well"
    ):
        imported(tmp_path, official)
    with pytest.raises(
        PargoError, match=r"no parquet, and no JSON named after random, popular, adversarial, in .*val2014"
    ):
        imported(tmp_path, official / "val2014")


def test_prompts():
    text = "Is there a random thing 0 in the image?"
    assert {name: preset.wording(EXPECTED[0]) for name, preset in PRESETS.items()} == {
        "official": text,
        "llava": f"{text}\nAnswer the question using a single word or phrase.",
        "compact": text,
    }
    assert set(PRESETS) == set(POPE.model_fields["prompt"].annotation.__args__)
