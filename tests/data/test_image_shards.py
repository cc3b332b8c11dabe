"""Pools of tar files: indexed where they lie, in the form of all sources; attacks are refused, faults are counted."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.config.sources import ImageShardsSource
from pargo.data import download
from pargo.data.importers import image_shards
from pargo.data.importers.image_shards import import_image_shards
from pargo.data.shards import Shards
from pargo.errors import InputError, PargoError
from pargo.manifest import verify


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (value, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def files(key: str, value: int = 0, **fields: object) -> list[tuple[str, bytes]]:
    """A sample as img2dataset writes it."""
    known = {"key": key, "status": "success", "caption": f"from json {value}", "url": f"http://x/{key}"}
    record = known | {"width": 8, "height": 6, "original_width": 80, "exif": "{}", "punsafe": 0.25} | fields
    text = f" thing {value}\n".encode()
    return [(f"{key}.jpg", jpeg(value)), (f"{key}.json", json.dumps(record).encode()), (f"{key}.txt", text)]


def write_tar(path: Path, members: list, format: int = tarfile.PAX_FORMAT) -> Path:
    """A tar of (name, bytes), or of headers that tell of something else than a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=format) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size, info.mtime = len(member[1]), 1700000000.5  # a time that needs a pax header, as webdataset's
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def write_stats(tar: Path, successes: int, rows: int) -> None:
    tar.with_name(f"{tar.stem}_stats.json").write_text(json.dumps({"count": rows, "successes": successes}))
    status = ["success"] * successes + ["failed_to_download"] * (rows - successes)
    pq.write_table(pa.table({"key": [str(row) for row in range(rows)], "status": status}), tar.with_suffix(".parquet"))


def bring(tmp_path: Path, **settings: object) -> tuple[Shards, dict, list[dict]]:
    """Import the pools a and, where there is one, b; shards, counts and broken samples."""
    folders = {name: str(tmp_path / name) for name in ("a", "b") if (tmp_path / name).exists()}
    source = ImageShardsSource(kind="image_shards", shards=folders, **settings)
    output = tmp_path / "out"
    output.mkdir(exist_ok=True)
    import_image_shards(source, output, tmp_path / "work")
    broken = [json.loads(line) for line in (output / "broken.jsonl").read_text().splitlines()]
    return Shards(output / "train"), json.loads((output / "counts.json").read_text()), broken


@pytest.fixture(autouse=True)
def one_process(monkeypatch, request):
    """Most tests index in this process; the pool itself has its own test."""
    if "pool" not in request.keywords:
        monkeypatch.setattr(
            image_shards, "_index_all", lambda tars, work: [image_shards.index_tar(tar, work) for tar in tars]
        )


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_samples_are_read_from_the_tars_where_they_are(tmp_path, format):
    tar = write_tar(tmp_path / "a/00000.tar", [*files("000000000", 3), *files("000000007", 9, pwatermark=1)], format)
    write_tar(tmp_path / "a/00001.tar", files("000010000", 5, punsafe=None), format)
    plain = [("dir/k.2.png", jpeg(1)), ("dir/j.jpeg", jpeg(2)), ("dir/j.txt", b"J"), ("dir/j.cls", b"7")]
    write_tar(tmp_path / "b/cc3m-train-0001.tar", plain, format)
    before = tar.read_bytes()
    shards, counts, broken = bring(tmp_path, licences={"a": "CC-BY-4.0"})
    assert shards.ids == ["a-00000-000000000", "a-00000-000000007", "a-00001-000010000", "b-cc3m-train-0001-dir_j"]
    assert shards.read("a-00000-000000007") == jpeg(9)
    assert shards.load("a-00001-000010000").size == (8, 6)
    assert shards.record("a-00000-000000007") == {
        "id": "a-00000-000000007",
        "conversation": [],
        "alt_text": "thing 9",
        "origin": "a",
        "licence": "CC-BY-4.0",
        "file": "00000.tar/000000007",
        "url": "http://x/000000007",
        "width": 8,
        "height": 6,
        "nsfw": 0.25,
        "watermark": 1.0,
    }
    own = {"id": "b-cc3m-train-0001-dir_j", "conversation": [], "alt_text": "J", "origin": "b"}
    assert shards.record("b-cc3m-train-0001-dir_j") == own | {"file": "cc3m-train-0001.tar/dir/j"}
    shards.verify()
    assert tar.read_bytes() == before
    assert counts["samples"] == 4
    assert counts["origins"] == {
        "a": {"tars": 2, "samples": 3, "broken": 0},
        "b": {"tars": 1, "samples": 1, "broken": 1},
    }
    assert counts["other_files"] == {"cls": 1}
    assert counts["missing_fields"] == {"watermark": 3, "nsfw": 2, "url": 1, "width": 1, "height": 1}
    assert [(row["key"], row["reason"]) for row in broken] == [("dir/k", "no image")]  # its suffix is 2.png


def test_fields_are_named_in_the_config_and_unknown_ones_counted(tmp_path):
    write_tar(tmp_path / "a/0.tar", [*files("1", NSFW=0.5, hash=1), *files("2", NSFW="UNLIKELY", hash=2, width=-1)])
    shards, counts, _ = bring(tmp_path, fields={"nsfw": "NSFW"})
    assert shards.record("a-0-1")["nsfw"] == 0.5
    assert shards.record("a-0-2").keys().isdisjoint({"nsfw", "width"})
    assert counts["unknown_fields"] == {"punsafe": 2, "hash": 2}
    assert counts["missing_fields"] == {"watermark": 2, "nsfw": 1, "width": 1}


BROKEN = {
    "no image": [("x.json", b"{}"), ("x.txt", b"t")],
    "image is empty": [("x.jpg", b"")],
    "a file is there twice": [("x.jpg", jpeg(1)), ("x.jpg", jpeg(2))],
    "JSON cannot be read": [("x.jpg", jpeg(1)), ("x.json", b"[" * 100_000)],
    "text is not UTF-8": [("x.jpg", jpeg(1)), ("x.txt", b"\xff\xfe")],
    "key is no part of an id": [("x y.jpg", jpeg(1))],
    "key is there twice": [("y.jpg", jpeg(1))],
    "status is not success": [("x.jpg", jpeg(1)), ("x.json", b'{"status": "failed_to_resize"}')],
    "file is too large": [("x.jpg", jpeg(1)), ("x.txt", b" " * (image_shards.MAX_TEXT + 1))],
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_sample_is_counted_and_listed(tmp_path, reason):
    tar = write_tar(tmp_path / "a/0.tar", [*files("y", 1), *files("z", 2), *BROKEN[reason], *files("zz", 3)])
    shards, counts, broken = bring(tmp_path)
    assert shards.ids == ["a-0-y", "a-0-z", "a-0-zz"]
    assert shards.read("a-0-y") == jpeg(1)
    assert counts["broken"] == {reason: 1}
    key = BROKEN[reason][0][0].partition(".")[0]
    assert broken == [{"tar": str(tar), "key": key, "reason": reason}]


def test_half_a_character_in_json_breaks_one_sample(tmp_path):
    write_tar(tmp_path / "a/0.tar", [*files("y"), ("x.jpg", jpeg(1)), ("x.json", b'{"url": "\\ud800"}')])
    _, counts, _ = bring(tmp_path)
    assert counts["broken"] == {"text is not UTF-8": 1}


def test_an_image_over_the_limit_is_left_out_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(image_shards, "MAX_IMAGE", 700)
    big = ("x.png", b"x" * 701)
    write_tar(tmp_path / "a/0.tar", [*files("y"), big])
    _, counts, _ = bring(tmp_path)
    assert counts["broken"] == {"file is too large": 1}


def special(kind: bytes, name: str = "x.jpg", **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


ATTACKS = {
    "symbolic link": special(tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": special(tarfile.LNKTYPE, linkname="y.jpg"),
    "character device": special(tarfile.CHRTYPE, devmajor=1, devminor=5),
    "block device": special(tarfile.BLKTYPE),
    "fifo": special(tarfile.FIFOTYPE),
    "unknown type": special(b"Z"),
    "absolute name": ("/x.jpg", b"1"),
    "escaping name": ("a/../../x.jpg", b"1"),
    "escaping name of a folder": special(tarfile.DIRTYPE, "../x"),
    "backslash": ("..\\x.jpg", b"1"),
    "sparse file": special(tarfile.REGTYPE, pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}),
    "negative size": special(tarfile.REGTYPE, pax_headers={"size": "-512"}),
    "huge header": special(tarfile.REGTYPE, pax_headers={"comment": "x" * (1 << 21)}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_tar_that_attacks_is_refused(tmp_path, attack):
    tar = write_tar(tmp_path / "a/0.tar", [*files("y"), ATTACKS[attack], *files("z")])
    with pytest.raises(InputError, match=rf"{tar}.*refused|{tar} is no plain tar"):
        bring(tmp_path)
    assert not list((tmp_path / "out").iterdir())


def test_a_header_that_says_a_negative_size_does_not_loop(tmp_path):
    tar = write_tar(tmp_path / "a/0.tar", [("x.jpg", b"1")], tarfile.USTAR_FORMAT)
    data = bytearray(tar.read_bytes())
    data[124:136] = (-1024 & ((1 << 96) - 1)).to_bytes(12, "big")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    tar.write_bytes(data)
    with pytest.raises(InputError, match="refused"):
        bring(tmp_path)


def test_nested_headers_do_not_overflow_the_stack(tmp_path):
    info = tarfile.TarInfo("x")
    header = info.create_pax_global_header({"a": "b"})
    tar = tmp_path / "a/0.tar"
    tar.parent.mkdir()
    tar.write_bytes(header * 5000 + bytes(1024))
    with pytest.raises(InputError, match="no plain tar"):
        bring(tmp_path)


def test_a_tar_that_is_none_or_damaged_or_packed_is_refused(tmp_path):
    path = write_tar(tmp_path / "a/0.tar", [*files("y"), *files("z")], tarfile.USTAR_FORMAT)
    whole = path.read_bytes()
    second = whole.index(b"y.txt")
    for data, message in (
        (b"no tar" * 200, "no plain tar"),
        (gzip.compress(whole * 3, 0), "no plain tar"),
        (whole[:second] + b"garbage" + whole[second + 7 :], f"no header at byte {second}"),
        (whole + whole, "data behind its end"),
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=message):
            bring(tmp_path)


def test_samples_before_the_cut_of_a_killed_writer_are_kept(tmp_path):
    members = [*files("x", 1), *files("y", 2), *files("z", 3)]
    path = write_tar(tmp_path / "a/0.tar", members, tarfile.USTAR_FORMAT)
    whole = path.read_bytes()
    for end, kept, cut in (
        (whole.index(b"z.jpg") + 600, ["a-0-x", "a-0-y"], 0),  # in an image: there is no sample yet
        (whole.index(b"z.json"), ["a-0-x", "a-0-y"], 1),  # an image without the rest
        (whole.index(b"z.jpg"), ["a-0-x", "a-0-y"], 0),  # behind a sample
        (whole.index(b"z.txt") + 1024, ["a-0-x", "a-0-y", "a-0-z"], 0),  # behind the last sample
    ):
        path.write_bytes(whole[:end])
        shards, counts, broken = bring(tmp_path)
        assert shards.ids == kept
        shards.verify()
        assert list(counts["cut_off"]) == [str(path)]
        assert counts["broken"] == ({"cut off": 1} if cut else {})
        assert len(broken) == cut
        shutil.rmtree(tmp_path / "out")
