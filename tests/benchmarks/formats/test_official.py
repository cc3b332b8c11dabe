"""Every benchmark opens folders and zips in one way, which lets nothing out of a zip and leaves hidden files alone."""

import io
import stat
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.benchmarks.formats import official
from pargo.benchmarks.formats.official import Entry, open_files
from pargo.benchmarks.formats.parquet import parquet_rows
from pargo.benchmarks.parts import load_official_files
from pargo.benchmarks.questions import check_image, image_extension
from pargo.config.sources.official import official_benchmarks
from pargo.errors import PargoError

KINDS = official_benchmarks()


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def write_zip(path: Path, *members: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for info in members:
            archive.writestr(info, b"/etc/passwd")
    return path


BAD_MEMBERS = [
    (member("../a.txt"), r"z\.zip: '\.\./a\.txt' leads out of the archive"),
    (member("/a.txt"), r"z\.zip: '/a\.txt' leads out of the archive"),
    (member("a\\b.txt"), r"z\.zip: .* leads out of the archive"),
    (member(".hidden/../../a.txt"), r"z\.zip: .* leads out of the archive"),
    (member("a.txt", stat.S_IFLNK | 0o777), r"z\.zip: 'a\.txt' is a link"),
    (member("x//b.txt"), r"z\.zip: 'x/b\.txt' is there twice"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("info", "message"), BAD_MEMBERS)
def test_no_benchmark_takes_such_a_zip(tmp_path, kind, info, message):
    path = write_zip(tmp_path / "z.zip", member("x/b.txt"), info)
    with pytest.raises(PargoError, match=message):
        load_official_files(kind).import_files([path], tmp_path / "source" / "test")
    assert [file.name for file in tmp_path.iterdir()] == ["z.zip"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_benchmark_takes_a_zip_that_is_encrypted_or_too_large(tmp_path, kind, monkeypatch):
    def refuse(message: str) -> None:
        with pytest.raises(PargoError, match=message):
            load_official_files(kind).import_files([path], tmp_path / "source" / "test")

    path = write_zip(tmp_path / "z.zip", member("a.txt"), member("b.txt"))
    good = path.read_bytes()
    encrypted = bytearray(good)
    encrypted[encrypted.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    refuse(r"z\.zip: 'b\.txt' is encrypted")
    path.write_bytes(good)
    monkeypatch.setattr(official, "MAX_ZIP_BYTES", 20)
    refuse(r"z\.zip: would unpack to 22 bytes in 2 files or more; at most 20")
    monkeypatch.setattr(official, "MAX_FILE_BYTES", 10)
    refuse(r"z\.zip: 'a\.txt' has 11 bytes, more than 10")


NAMES = ["a.txt", "x/a.txt", ".a.txt", "x/.git/a.txt", "__MACOSX/x/a.txt", "__MACOSX/._a.txt", "x__MACOSX/a.txt"]
SHOWN = ["a.txt", "x/a.txt", "x__MACOSX/a.txt"]


def test_hidden_files_are_left_out_of_folders_and_zips(tmp_path):
    zipped = write_zip(tmp_path / "z.bin", *map(member, NAMES))  # a zip, whatever its name
    folder = tmp_path / ".folder"  # asked for by name, so not hidden itself
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"/etc/passwd")
    for path in (zipped, folder):
        with open_files([path]) as files:
            assert sorted(files.by_path) == SHOWN
            assert {entry.read() for entry in files.entries} == {b"/etc/passwd"}
            assert [entry.where for entry in files.named("a.txt")] == [f"{path}/{name}" for name in SHOWN]
            with pytest.raises(PargoError, match=r"^x: 3 files, e\.g\. .*/a\.txt and .*/x/a\.txt, named a\.txt in "):
                files.find(["a.txt"], "x")
    with open_files([folder / ".a.txt"]) as files:
        assert list(files.by_path) == [".a.txt"]


def test_columns_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([[1, 2], [3, 4]], names=["a", "b"]), path)
    for entry in (Entry("a", "a", path.read_bytes, path), Entry("a", "a", path.read_bytes)):
        rows = list(parquet_rows(entry, ["b"]))
        assert [tuple(row) for row in rows] == [("a: row 1", {"b": 3}), ("a: row 2", {"b": 4})]
        with pytest.raises(PargoError, match=r"^a: no column 'c'; expected b, c$"):
            list(parquet_rows(entry, ["b", "c"]))
    pq.write_table(pa.table([[1], [3]], names=["a", "a"]), path)
    with pytest.raises(PargoError, match=r"^a: column 'a' twice$"):
        list(parquet_rows(Entry("a", "a", path.read_bytes, path)))


def encode(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.effect_noise((32, 32), 90).convert(mode).save(file, kind)
    return file.getvalue()


def test_images_are_decoded_at_import():
    assert [image_extension(encode(kind), "x") for kind in ("JPEG", "PNG")] == [".jpg", ".png"]
    assert check_image(encode("GIF", "L"), "x") == "GIF"
    for data, message in (
        (b"", "^x: not an image: unknown format$"),
        (encode("PNG")[:300], "^cannot read image x: "),
        (encode("JPEG")[:-200], "^cannot read image x: "),
        (encode("TIFF"), "^x: not an image: unknown format$"),
        (encode("PNG", "I;16"), "^image x has more than 8 bits a channel"),
    ):
        with pytest.raises(PargoError, match=message):
            image_extension(data, "x")
    with pytest.raises(PargoError, match=r"^x: image format GIF, expected one of JPEG, PNG$"):
        image_extension(encode("GIF", "L"), "x")
