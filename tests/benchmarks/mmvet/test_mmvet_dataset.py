"""Every official form of the data set gives the same questions and images; anything else is named."""

import io
import json
import random
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.benchmarks.mmvet.dataset import import_files, read_questions
from pargo.config.benchmarks.mmvet import MMVet
from pargo.data.images import open_images
from pargo.errors import PargoError
from tests.helpers.mmvet_files import make_meta, write_json

BENCHMARK = MMVet(kind="mmvet", source="mmvet")
META = make_meta(24)


def image_bytes(name: str, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), tuple(random.Random(name).randbytes(3))).save(file, kind)
    return file.getvalue()


IMAGES = {entry["imagename"]: image_bytes(entry["imagename"]) for entry in META.values()}


@pytest.fixture
def folder(tmp_path):
    """The official folder."""
    root = tmp_path / "mm-vet"
    (root / "images").mkdir(parents=True)
    write_json(root / "mm-vet.json", META)
    for name, data in IMAGES.items():
        (root / "images" / name).write_bytes(data)
    return root


def rows(*, as_list: bool = False, with_path: bool = True):
    return [
        {
            "question_id": key,
            "image": {
                "bytes": IMAGES[entry["imagename"]],
                "path": f"images/{entry['imagename']}" if with_path else None,
            },
            "question": entry["question"],
            "answer": entry["answer"],
            "image_source": entry["imagesource"],
            "capability": entry["capability"] if as_list else ", ".join(entry["capability"]),
        }
        for key, entry in META.items()
    ]


def write_parquet(path, content):
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(content), path)
    return path


def zipped(folder, prefix: str):
    path = folder.parent / f"{prefix.strip('/') or 'flat'}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/mm-vet/mm-vet.json", "junk")
        for file in sorted(folder.rglob("*")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def forms(folder):
    tmp = folder.parent
    half = len(META) // 2
    hub = tmp / "hub"
    write_parquet(hub / "test-00000-of-00002.parquet", rows()[:half])
    write_parquet(hub / "test-00001-of-00002.parquet", rows()[half:])
    return {
        "folder": [folder],
        "folder one up": [tmp],
        "json and folder": [folder / "mm-vet.json", folder],
        "json and images": [folder / "mm-vet.json", folder / "images"],
        "images and json": [folder / "images", folder / "mm-vet.json"],
        "zip": [zipped(folder, "mm-vet/")],
        "flat zip": [zipped(folder, "")],
        "json and zip": [folder / "mm-vet.json", zipped(folder / "images", "")],
        "hub folder": [hub],
        "hub files": sorted(hub.iterdir()),
        "hub, lists": [write_parquet(tmp / "lists" / "a.parquet", rows(as_list=True))],
        "hub, no paths": [write_parquet(tmp / "nameless" / "a.parquet", rows(with_path=False))],
    }


def test_every_form_gives_the_same(tmp_path, folder):
    found = {}
    single = [paths for name, paths in forms(folder).items() if name == "folder one up"]
    assert single
    for name, paths in forms(folder).items():
        if name == "folder one up":
            continue
        source = tmp_path / "sources" / name
        import_files(paths, source / "test")
        questions = read_questions(source, BENCHMARK)
        images = open_images(source, "test")
        found[name] = (questions, {image: images.read(image) for image in images.ids})
    first = found["folder"]
    assert all(other == first for other in found.values())
    questions, images = first
    assert images == IMAGES
    assert [question.id for question in questions] == list(META)
    for question, entry in zip(questions, META.values(), strict=True):
        names = sorted(set(entry["capability"]))
        assert question.task == "+".join(names)
        assert question.details == {"capability": ",".join(names)}
        assert (question.image, question.question, question.label) == (
            entry["imagename"],
            entry["question"],
            entry["answer"],
        )


def test_a_folder_that_holds_the_official_folder(tmp_path, folder):
    import_files([tmp_path], tmp_path / "source" / "test")
    assert len(read_questions(tmp_path / "source", BENCHMARK)) == 24


def test_image_names_get_the_ending_that_their_bytes_call_for(tmp_path, folder):
    meta = {
        "v1_0": META["v1_0"] | {"imagename": "a"},
        "v1_1": META["v1_1"] | {"imagename": "b.gif"},
        "v1_2": META["v1_2"] | {"imagename": "c.JPG"},
    }
    for name, kind in (("a", "PNG"), ("b.gif", "JPEG"), ("c.JPG", "PNG")):
        (folder / "images" / name).write_bytes(image_bytes(name, kind))
    write_json(folder / "mm-vet.json", meta)
    import_files([folder], tmp_path / "s" / "test")
    assert [question.image for question in read_questions(tmp_path / "s", BENCHMARK)] == ["a.png", "b.gif.jpg", "c.JPG"]
    assert len(open_images(tmp_path / "s", "test").ids) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v1_0.gone.png", r"mm-vet\.json: question v1_0: no image 'v1_0\.gone\.png' in"),
        ("../secret.png", r"no image '\.\./secret\.png' in"),
        ("sub/a.png", r"image name 'sub/a\.png', expected the plain name of a file"),
        ("text.png", r"image text\.png: not an image"),
        ("a.webp", r"image a\.webp: image format WEBP, expected one of JPEG, PNG"),
        ("\u0000", r"no image '\\x00' in"),
    ],
)
def test_an_image_that_cannot_be_used(tmp_path, folder, name, message):
    (folder.parent / "secret.png").write_bytes(IMAGES["v1_0.png"])
    (folder / "images" / "sub").mkdir()
    (folder / "images" / "sub" / "a.png").write_bytes(IMAGES["v1_0.png"])
    (folder / "images" / "text.png").write_text("text")
    (folder / "images" / "a.webp").write_bytes(image_bytes("a", "WEBP"))
    write_json(folder / "mm-vet.json", META | {"v1_0": META["v1_0"] | {"imagename": name}})
    with pytest.raises(PargoError, match=message):
        import_files([folder], tmp_path / "s" / "test")


def test_names_that_become_one(tmp_path, folder):
    (folder / "images" / "v1_0").write_bytes(IMAGES["v1_0.png"])
    write_json(folder / "mm-vet.json", META | {"v1_2": META["v1_2"] | {"imagename": "v1_0"}})
    with pytest.raises(PargoError, match="two images have the same name but for its ending"):
        import_files([folder], tmp_path / "s" / "test")


def test_other_files(tmp_path, folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "folder.json").mkdir()
    text = tmp_path / "a.zip"
    text.write_text("text")
    for paths, message in (
        ([], r"mmvet is imported from .* got nothing"),
        ([folder, folder], r"mmvet is imported from"),
        ([tmp_path / "gone"], r"gone does not exist"),
        ([empty], r"empty holds no mm-vet\.json"),
        ([tmp_path / "folder.json", folder], r"cannot read .*folder\.json: Is a directory"),
        ([text], r"a\.zip: not a readable zip: File is not a zip file"),
        ([folder / "mm-vet.json"], r"mmvet is imported from mm-vet\.json and its folder of images"),
    ):
        with pytest.raises(PargoError, match=message):
            import_files(paths, tmp_path / "s" / "test")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": None}, r"row 2: None: `id` is None, expected text"),
        ({"question_id": "v1_0"}, r"row 2: question 'v1_0' twice"),
        ({"capability": None}, r"row 2: `capability` is None, expected text or a list"),
        ({"capability": "ocr,,rec"}, r"row 2: v1_1: capability '', expected"),
        ({"image": {"bytes": None, "path": "a.png"}}, r"row 2: `image` must hold the bytes of one image"),
        ({"image": {"bytes": b"x", "path": "v1_0.png"}}, r"row 2: question v1_1: another image is named 'v1_0\.png'"),
        ({"question": ""}, r"row 2: v1_1: `question` is '', expected text"),
    ],
)
def test_bad_rows(tmp_path, change, message):
    content = rows()
    content[1] |= change
    with pytest.raises(PargoError, match=message):
        import_files([write_parquet(tmp_path / "p" / "a.parquet", content)], tmp_path / "s" / "test")


def test_bad_tables(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(PargoError, match=r"a\.parquet: not a readable parquet file"):
        import_files([path], tmp_path / "s" / "test")
    write_parquet(path, [{"question_id": "v1_0"}])
    with pytest.raises(PargoError, match=r"a\.parquet: no column 'image'; expected question_id, image"):
        import_files([path], tmp_path / "s" / "test")
    pq.write_table(pa.Table.from_pylist(rows()).slice(0, 0), path)
    with pytest.raises(PargoError, match=r"a\.parquet: no questions"):
        import_files([path], tmp_path / "s" / "test")


def test_any_zip_bytes_give_a_source_or_a_named_error(tmp_path, folder):
    for name in IMAGES.keys() - {"v1_0.png"}:
        (folder / "images" / name).unlink()
    write_json(folder / "mm-vet.json", {key: META[key] | {"imagename": "v1_0.png"} for key in ("v1_0", "v1_1")})
    data, rng = zipped(folder, "").read_bytes(), random.Random(4)
    path, imported, errors = tmp_path / "a.zip", 0, []
    for case in range(200):
        content = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.randrange(len(content))] if case % 4 == 0 else content)
        try:
            import_files([path], tmp_path / "s" / str(case))
            imported += 1
        except PargoError as error:
            errors.append(str(error))
    assert all(errors)
    assert 20 < imported < 180


def test_questions_of_a_source_that_is_not_there(tmp_path):
    with pytest.raises(PargoError, match=r"cannot read questions .*questions\.jsonl"):
        read_questions(tmp_path, BENCHMARK)


def test_the_meta_json_is_read_as_bytes(tmp_path, folder):
    path = folder / "mm-vet.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(META, indent=1).replace("\n", "\r\n").encode())
    import_files([folder], tmp_path / "s" / "test")
    assert len(read_questions(tmp_path / "s", BENCHMARK)) == 24
    path.write_bytes(b"\xff")
    with pytest.raises(PargoError, match=r"mm-vet\.json: not UTF-8"):
        import_files([folder], tmp_path / "s" / "test")
