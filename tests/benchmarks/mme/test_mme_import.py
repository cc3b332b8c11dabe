"""Every form that MME comes in gives the same questions and images; broken ones are refused."""

import io
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.benchmarks.mme.dataset import import_files, read_questions
from pargo.benchmarks.mme.tasks import NUM_IMAGES, TASKS
from pargo.config.benchmarks.mme import MME
from pargo.errors import PargoError

BENCHMARK = MME(kind="mme", source="mme", partial=True)
NESTED = ("artwork", "celebrity", "landmark", "posters", "scene")  # with folders of their own for images and texts
# task -> image name -> (bytes, question with answer Yes, question with answer No)
Content = dict[str, dict[str, tuple[bytes, str, str]]]


def encode(number: int, kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (number % 256, number // 256, 7)).save(file, kind)
    return file.getvalue()


def make_content(num_images: dict[str, int]) -> Content:
    content: Content = {}
    for index, (task, number) in enumerate(num_images.items()):
        content[task] = {}
        for image in range(number):
            kind, suffix = (("JPEG", "jpg"), ("PNG", "png"))[(index + image) % 2]
            question = f"Is this {task} {image} “é”? Please answer yes or no."
            content[task][f"{image:04d}.{suffix}"] = (
                encode(1000 * index + image, kind),
                question,
                question.replace("this", "it"),
            )
    return content


CONTENT = make_content(dict.fromkeys(TASKS, 2))


def as_official(content: Content, root: str = "MME_Benchmark_release_version/") -> dict[str, bytes]:
    """Files of the official release, with what else its zips hold."""
    files = {
        f"{root}eval_tool/calculation.py": b"",
        f"{root}eval_tool/LaVIN/count.txt": b"x",
        f"{root}.DS_Store": b"x",
        f"__MACOSX/{root}count/._0001.png": b"x",
        f"{root}artwork/images/toy_dataset/1.jpg": b"x",
    }
    for task, images in content.items():
        for name, (data, yes, no) in images.items():
            image, text = ("images/", "questions_answers_YN/") if task in NESTED else ("", "")
            files[f"{root}{task}/{image}{name}"] = data
            files[f"{root}{task}/{text}{Path(name).stem}.txt"] = f"{yes}\tYes\n{no}\tNo".encode()
    return files


def as_pargo(content: Content) -> dict[str, bytes]:
    files = {}
    for task, images in content.items():
        rows = [f"{name}\t{yes}\tYes\n{name}\t{no}\tNo\n" for name, (_, yes, no) in images.items()]
        files[f"Data_json/{task}.txt"] = "".join(rows).encode()
        files |= {f"images/{task}/{name}": data for name, (data, _, _) in images.items()}
    return files


def as_rows(content: Content) -> list[dict]:
    return [
        {
            "question_id": f"{task}/{name}",
            "image": {"bytes": data, "path": name},
            "question": question,
            "answer": answer,
            "category": task,
        }
        for task, images in content.items()
        for name, (data, *questions) in images.items()
        for question, answer in zip(questions, ("Yes", "No"), strict=True)
    ]


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_parquet(folder: Path, rows: list[dict], files: int = 1) -> list[Path]:
    folder.mkdir(exist_ok=True)
    size = -(-len(rows) // files)
    paths = [folder / f"test-{number:05d}-of-{files:05d}.parquet" for number in range(files)]
    for number, path in enumerate(paths):
        pq.write_table(pa.Table.from_pylist(rows[number * size : (number + 1) * size]), path)
    return paths


FORMS: dict[str, Callable[[Path, Content], list[Path]]] = {
    "official folder": lambda path, content: [write_folder(path, as_official(content))],
    "official folder itself": lambda path, content: [write_folder(path, as_official(content, ""))],
    "official zip": lambda path, content: [write_zip(path, as_official(content))],
    "newer zip": lambda path, content: [write_zip(path, as_official(content, "MME_release/MME_Benchmark/"))],
    "pargo folder": lambda path, content: [write_folder(path, as_pargo(content))],
    "pargo zip": lambda path, content: [
        write_zip(path, {f"eval/{name}": data for name, data in as_pargo(content).items()})
    ],
    "parquet": lambda path, content: write_parquet(path, as_rows(content)),
    # nine rows each: pairs begin in one file and end in the next
    "parquet files": lambda path, content: write_parquet(path, as_rows(content), files=7)[::-1],
    "folder of parquet": lambda path, content: [write_parquet(path / "data", as_rows(content), 3)[0].parent.parent],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(tmp_path, form):
    (tmp_path / "given").mkdir() if form == "folder of parquet" else None
    import_files(FORMS[form](tmp_path / "given", CONTENT), tmp_path / "source" / "test")
    questions = read_questions(tmp_path / "source", BENCHMARK)
    found: Content = {}
    for first, second in zip(questions[::2], questions[1::2], strict=True):
        assert (first.label, second.label) == ("Yes", "No")
        assert first.image == second.image
        data = (tmp_path / "source" / "test" / first.image).read_bytes()
        found.setdefault(first.task, {})[Path(first.image).name] = (data, first.question, second.question)
    assert found == CONTENT
    assert list(found) == list(TASKS)


def test_whole_benchmark(tmp_path):
    import_files([write_zip(tmp_path / "mme.zip", as_official(make_content(NUM_IMAGES)))], tmp_path / "a" / "test")
    import_files(write_parquet(tmp_path / "hub", as_rows(make_content(NUM_IMAGES)), 4), tmp_path / "b" / "test")
    questions = read_questions(tmp_path / "a", BENCHMARK)
    assert len(questions) == 2374
    assert questions == read_questions(tmp_path / "b", BENCHMARK)


def test_an_import_can_be_imported_again(tmp_path):
    for before, after in (("given", "a"), ("a", "b")):
        if before == "given":
            write_folder(tmp_path / "given", as_official(CONTENT))
        import_files([tmp_path / before], tmp_path / after / "test")
    assert read_questions(tmp_path / "a", BENCHMARK) == read_questions(tmp_path / "b", BENCHMARK)


def test_text_with_mark_and_carriage_returns(tmp_path):
    files = as_official({"count": CONTENT["count"]}, "")
    plain = write_folder(tmp_path / "plain", files)
    changed = write_folder(
        tmp_path / "changed",
        {
            name: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")
            if name.startswith("count/") and name.endswith(".txt")
            else data
            for name, data in files.items()
        },
    )
    for given in (plain, changed):
        import_files([given], tmp_path / f"from {given.name}" / "test")
    assert read_questions(tmp_path / "from plain", BENCHMARK) == read_questions(tmp_path / "from changed", BENCHMARK)


def refuse(tmp_path: Path, paths: list[Path], message: str) -> None:
    with pytest.raises(PargoError, match=message):
        import_files(paths, tmp_path / "source" / "test")


GOOD = {"count/a.png": encode(0, "PNG"), "count/a.txt": b"Is it?\tYes\nIs it not?\tNo\n"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": b""}, r"expected one folder that holds MME's tasks \(existence, .*\), found none"),
        (GOOD | {f"x/{name}": data for name, data in GOOD.items()}, r"found \., x/"),
        ({"count/a.png": GOOD["count/a.png"]}, r"count holds no questions"),
        (GOOD | {"count/b.png": b""}, r"count/b\.png: no b\.txt with its questions beside it"),
        (GOOD | {"count/b.txt": b""}, r"count/b\.txt: no image of this name beside it"),
        (GOOD | {"count/a.jpg": b""}, r"count/a\.png: a\.jpg has the same name"),
        (GOOD | {"count/images/a.png": b""}, r"count/images/a\.png: .*count/a\.png has the same name"),
        (GOOD | {"count/notes.md": b""}, r"count/notes\.md: not a file of MME"),
        (GOOD | {"count/images/b.txt": b""}, r"count/images/b\.txt: not a file of MME"),
        (GOOD | {"count/more/b.png": b""}, r"count/more/b\.png: not a file of MME"),
        (GOOD | {"ocr/b.png": b""}, r"ocr/b\.png: an image outside of MME's tasks, existence"),
        (GOOD | {"count/a.png": b"GIF"}, r"count/a\.png: not an image: unknown format"),
        (GOOD | {"count/a.png": GOOD["count/a.png"][:40]}, r"count/a\.png: not an image"),
        (GOOD | {"count/a.txt": b"Is it?\tNo\nIs it?\tYes\n"}, r"count/a\.txt:1: answer 'No', expected 'Yes'"),
        (GOOD | {"count/a.txt": b"Is it?\tYes\n"}, r"count/a\.txt: 1 line\(s\), expected 2"),
        (GOOD | {"count/a.txt": b"\xff"}, r"count/a\.txt: not UTF-8"),
    ],
)
def test_a_broken_official_release(tmp_path, files, message):
    refuse(tmp_path, [write_folder(tmp_path / "folder", files)], message)
    refuse(tmp_path, [write_zip(tmp_path / "file.zip", files)], message)


PARGO = {
    "Data_json/count.txt": b"a.png\tIs it?\tYes\na.png\tIs it not?\tNo\n",
    "images/count/a.png": GOOD["count/a.png"],
}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (PARGO | {"Data_json/ocr.txt": b""}, r"Data_json/ocr\.txt: not a task of MME"),
        (PARGO | {"images/OCR/a.png": b""}, r"images/OCR/a\.png: there is no Data_json/OCR\.txt"),
        (PARGO | {"x/Data_json/count.txt": b""}, r"expected one folder .*, found \., x/"),
        (PARGO | {"Data_json/count.txt": b""}, r"count\.txt is empty"),
        (PARGO | {"Data_json/count.txt": b"a.png\tIs it? Yes\n"}, r"count\.txt:1: 2 column\(s\), expected 3"),
        (PARGO | {"Data_json/count.txt": b"a.png\t?\tYes\nb.png\t?\tNo\n"}, r"count\.txt:2: image 'b\.png', expected"),
        (
            PARGO | {"Data_json/count.txt": b"a.png\t?\tYes\na.png\t?\tyes\n"},
            r"count\.txt:2: answer 'yes', expected 'No'",
        ),
        (
            PARGO | {"Data_json/count.txt": b"b.png\t?\tYes\nb.png\t?\tNo\n"},
            r"count\.txt:1: there is no images/count/b",
        ),
        (
            PARGO | {"Data_json/count.txt": b"x/a.png\t?\tYes\nx/a.png\t?\tNo\n", "images/count/x/a.png": b""},
            r"count\.txt:1/x/a\.png: neither an image",
        ),
    ],
)
def test_a_broken_release_of_pargo(tmp_path, files, message):
    refuse(tmp_path, [write_folder(tmp_path / "folder", files)], message)


ROWS = as_rows({"count": CONTENT["count"]})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:3], r"row 3: one question about 'count/0001\.jpg', expected two rows in a row"),
        (ROWS[1:3], r"row 2: question_id: 'count/0001\...g', expected 'count/0000\...g' as in the row before"),
        ([ROWS[0], ROWS[1] | {"category": "OCR"}], r"row 2: category: 'OCR', expected 'count'"),
        ([ROWS[0], ROWS[1] | {"image": ROWS[2]["image"]}], r"row 2: image: another image as in the row before"),
        (ROWS[1::-1], r"row 1: answer 'No', expected 'Yes': the first of an image is Yes, the second No"),
        (ROWS[:2] + ROWS[:2], r"row 3: image '0000\...g' of task count again, after .*row 1"),
        ([ROWS[0], ROWS[1] | {"question": None}], r"row 2: `question` is None, expected a text"),
        ([ROWS[0], ROWS[1] | {"question": "a\tb"}], r"row 1: question 'a\\tb' holds a tab or line break"),
        ([row | {"category": "ocr"} for row in ROWS], r"row 1: 'ocr' is not a task of MME; choices: existence"),
        (
            [row | {"image": {"bytes": None, "path": "a.png"}} for row in ROWS],
            r"row 1: `image` must hold the bytes of one image",
        ),
        ([row | {"question_id": ""} for row in ROWS[:2]], r"row 1/\.png: neither an image"),
        ([row | {"question_id": "a\\b.png"} for row in ROWS[:2]], r"row 1: 'a\\\\b\.png' is no plain file name"),
        (
            [row | {"question_id": "x" * 201 + ".png"} for row in ROWS[:2]],
            r"is no plain file name of at most 200 bytes",
        ),
        (
            [{key: row[key] for key in row if key != "category"} for row in ROWS],
            r"parquet: no column 'category'; expected question_id, ",
        ),
    ],
)
def test_broken_rows_of_the_hub(tmp_path, rows, message):
    refuse(tmp_path, write_parquet(tmp_path / "hub", rows), message)


def test_ids_without_extension_get_that_of_the_image(tmp_path):
    rows = [row | {"question_id": row["question_id"].rpartition(".")[0]} for row in ROWS]
    import_files(write_parquet(tmp_path / "hub", rows), tmp_path / "test")
    images = {Path(question.image).name for question in read_questions(tmp_path, BENCHMARK)}
    assert images == set(CONTENT["count"])


def test_other_files(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no PAR1")
    refuse(tmp_path, [tmp_path / "a.parquet"], r"a\.parquet: not a readable parquet file")
    refuse(tmp_path, [tmp_path / "b.parquet"], r"b\.parquet does not exist")
    (tmp_path / "a.zip").write_bytes(b"no zip")
    refuse(tmp_path, [tmp_path / "a.zip"], r"a\.zip: not a readable zip: File is not a zip file")
    refuse(tmp_path, [tmp_path / "b.zip"], r"b\.zip does not exist")
    (tmp_path / "a.json").write_bytes(b"{}")
    refuse(tmp_path, [tmp_path / "a.json"], r"a\.json: expected one folder that holds MME's tasks .*, found none")
    refuse(tmp_path, [tmp_path / "a.json"] * 2, r"MME comes as one folder or zip, or as parquet files; got .*a\.json, ")
    refuse(tmp_path, [], "got nothing")


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (member("../count/b.png"), r"'\.\./count/b\.png' leads out of the archive"),
        (member("count/../../b.png"), r"'count/\.\./\.\./b\.png' leads out"),
        (member("/count/b.png"), r"'/count/b\.png' leads out"),
        (member("count\\b.png"), r"leads out"),
        (member("count/b.png", stat.S_IFLNK | 0o777), r"'count/b\.png' is a link"),
        (member("count/a.png"), r"'count/a\.png' is there twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_of_a_zip_that_are_refused(tmp_path, info, message):
    path = write_zip(tmp_path / "mme.zip", GOOD)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, b"/etc/passwd")
    refuse(tmp_path, [path], message)
    assert not (tmp_path / "source").exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mme.zip"]


def test_size_and_packing_of_a_zip(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("count/a.png", b"x" * 100)
    refuse(tmp_path, [tmp_path / "packed.zip"], r"'count/a\.png' is neither stored nor deflated")
    path = write_zip(tmp_path / "mme.zip", GOOD)
    encrypted = bytearray(path.read_bytes())
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "encrypted.zip").write_bytes(encrypted)
    refuse(tmp_path, [tmp_path / "encrypted.zip"], r"'count/a\.txt' is encrypted")
    monkeypatch.setattr("pargo.benchmarks.formats.official.MAX_ZIP_BYTES", 50)
    refuse(tmp_path, [path], r"mme\.zip: would unpack to \d+ bytes in \d+ files or more; at most 50 ")
    monkeypatch.setattr("pargo.benchmarks.formats.official.MAX_FILE_BYTES", 40)
    refuse(tmp_path, [path], r"'count/a\.png' has \d+ bytes, more than 40")


def test_a_zip_that_unpacks_to_more_than_it_says(tmp_path):
    path = write_zip(tmp_path / "mme.zip", GOOD | {"count/a.png": GOOD["count/a.png"] + b"\0" * 100_000})
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (50).to_bytes(4, "little")  # its size unpacked
    path.write_bytes(data)
    refuse(tmp_path, [path], r"cannot read .*mme\.zip/count/a\.png: Bad CRC-32")


def test_any_bytes_give_questions_or_an_error(tmp_path):
    rng = random.Random(0)
    zipped = write_zip(tmp_path / "mme.zip", GOOD).read_bytes()
    text = GOOD["count/a.txt"]
    folder = write_folder(tmp_path / "folder", GOOD)
    imported = 0
    for number in range(300):
        base = zipped if number % 2 else text
        data = bytearray(base)
        for _ in range(rng.choice([1, 1, 3])):
            start = rng.randrange(len(data) + 1)
            data[start : start + rng.choice([0, 1, 1, 4])] = rng.choice([b"", b"\t", b"\n", rng.randbytes(1)])
        path = tmp_path / "mme.zip" if number % 2 else folder
        (path if number % 2 else folder / "count" / "a.txt").write_bytes(data)
        try:
            import_files([path], tmp_path / "source" / "test")
            imported += len(read_questions(tmp_path / "source", BENCHMARK)) == 2
        except PargoError:
            pass
    assert 30 < imported < 270
