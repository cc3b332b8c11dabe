"""Pools of tar files: indexed where they lie, in the form of all sources; attacks are refused, faults are counted."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.config.sources.image_shards import ImageShardsSource
from pargo.data.shards import Shards
from pargo.errors import InputError, PargoError
from pargo.manifest import verify
from pargo.sources import download
from pargo.sources.importers import image_shards, image_tar
from pargo.sources.importers.image_shards import import_image_shards


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
    source = ImageShardsSource(kind="image_shards", shards=folders, **{"max_broken": 1.0} | settings)
    output = tmp_path / "out"
    output.mkdir(exist_ok=True)
    import_image_shards(source, output, tmp_path / "work")
    broken = [json.loads(line) for line in (output / "broken.jsonl").read_text().splitlines()]
    return Shards(output / "train"), json.loads((output / "counts.json").read_text()), broken


@pytest.fixture(autouse=True)
def one_process(monkeypatch, request):
    """Most tests index in this process, which starts faster; some take several, as users do."""
    if "processes" not in request.node.name:
        monkeypatch.setattr(
            image_shards, "_index_all", lambda tars, work, _: [image_shards.index_tar(tar, work) for tar in tars]
        )


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_samples_are_read_from_the_tars_where_they_are(tmp_path, format):
    tar = write_tar(tmp_path / "a/00000.tar", [*files("000000000", 3), *files("000000007", 9, pwatermark=1)], format)
    write_tar(tmp_path / "a/00001.tar", files("000010000", 5, punsafe=None), format)
    plain = [("dir/k.2.gif", jpeg(1)), ("dir/j.jpeg", jpeg(2)), ("dir/j.txt", b"J"), ("dir/j.cls", b"7")]
    write_tar(tmp_path / "b/cc3m-train-0001.tar", plain, format)
    before = tar.read_bytes()
    shards, counts, broken = bring(tmp_path, licences={"a": "CC-BY-4.0"})
    assert shards.ids == ["a-00000-000000000", "a-00000-000000007", "a-00001-000010000", "b-cc3m-train-0001-dir%2Fj"]
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
    own = {"id": "b-cc3m-train-0001-dir%2Fj", "conversation": [], "alt_text": "J", "origin": "b"}
    assert shards.record("b-cc3m-train-0001-dir%2Fj") == own | {"file": "cc3m-train-0001.tar/dir/j"}
    shards.verify()
    assert tar.read_bytes() == before
    assert counts["samples"] == 4
    assert counts["origins"] == {
        "a": {"tars": 2, "samples": 3, "broken": 0},
        "b": {"tars": 1, "samples": 1, "broken": 1},
    }
    assert counts["other_files"] == {"cls": 1}
    assert counts["missing_fields"] == {"watermark": 3, "nsfw": 2, "url": 1, "width": 1, "height": 1}
    assert [(row["key"], row["reason"]) for row in broken] == [("dir/k", "no image")]


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
    "more than one image with one key, which ends at a name's first dot": [
        ("x.1.jpg", jpeg(1)),
        ("x.2.jpg", jpeg(2)),
        ("x.txt", b"of both"),
    ],
    "key is longer than 1024 bytes": [("x" * 1025 + ".jpg", jpeg(1))],
    "key is there twice": [("y.jpg", jpeg(1))],
    "status is not success": [("x.jpg", jpeg(1)), ("x.json", b'{"status": "failed_to_resize"}')],
    "file is too large": [("x.jpg", jpeg(1)), ("x.txt", b" " * (image_tar.MAX_TEXT + 1))],
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
    monkeypatch.setattr(image_tar, "MAX_IMAGE", 700)
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


def test_what_img2dataset_says_of_itself_is_compared(tmp_path):
    for number, (found, stated) in enumerate(((2, 2), (2, 3))):
        members = [member for key in range(found) for member in files(f"{number}{key}")]
        write_stats(write_tar(tmp_path / f"a/0000{number}.tar", members), stated, 10)
    write_tar(tmp_path / "a/00002.tar", files("20"))
    (tmp_path / "a/00002_stats.json").write_text("{")
    (tmp_path / "a/00003_stats.json").write_text('{"successes": 9}')
    _, counts, _ = bring(tmp_path)
    assert counts["differences"] == [
        {"tar": str(tmp_path / "a/00001.tar"), "found": 2, "stats": 3, "parquet": 3},
        {"tar": str(tmp_path / "a/00002.tar"), "found": 1, "stats": "cannot be read"},
        {"tar": str(tmp_path / "a/00003.tar"), "found": "no tar"},
    ]


def test_a_tar_that_changed_since_says_to_import_again(tmp_path):
    path = write_tar(tmp_path / "a/0.tar", [*files("y", 1), *files("z", 2)], tarfile.USTAR_FORMAT)
    shards, _, _ = bring(tmp_path)
    whole = path.read_bytes()
    row = shards.ids.index("a-0-y")
    data = bytearray(whole)
    data[shards._index.numbers["image_offset"][row] + 9] ^= 1
    path.write_bytes(data)
    assert shards.read("a-0-z") == jpeg(2)
    message = rf"{path}: the image of sample 'a-0-y' has sha256 [0-9a-f]{{64}}, .*import the source again"
    with pytest.raises(PargoError, match=message):
        shards.read("a-0-y")
    path.write_bytes(whole[:600])
    with pytest.raises(PargoError, match=r"truncated: sample 'a-0-z'.*import the source again"):
        Shards(shards.directory).read("a-0-z")
    path.unlink()
    with pytest.raises(PargoError, match=f"cannot read sample 'a-0-z': {path}: No such file"):
        Shards(shards.directory).read("a-0-z")


def test_folders_and_names_that_cannot_be_used(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match=r"holds no \.tar files"):
        bring(tmp_path)
    write_tar(tmp_path / "a/0.tar", [("x.txt", b""), ("y.txt", b""), ("z.jpg", b""), ("README", b"")])
    why = r"2 x no image, e\.g\. 'x' in 0\.tar; 1 x files without a key .*'README'; 1 x image is empty, e\.g\. 'z' in"
    with pytest.raises(InputError, match=f"/a: no sample in 1 tars can be used. {why}"):
        bring(tmp_path)
    write_tar(tmp_path / "a/0.tar", [])
    with pytest.raises(InputError, match="the tars are empty"):
        bring(tmp_path)
    long = write_tar(tmp_path / f"a/{'x' * 199}.tar", [])
    with pytest.raises(InputError, match="more than 200 characters of an id"):
        bring(tmp_path)
    long.unlink()
    os.mkfifo(tmp_path / "a/1.tar")
    with pytest.raises(InputError, match=r"'1\.tar' is no file"):
        bring(tmp_path)
    with pytest.raises(ValueError, match="no such origin in shards: b"):
        bring(tmp_path, licences={"b": "MIT"})


def test_a_disk_that_fails_names_the_tar(tmp_path, monkeypatch):
    tar = write_tar(tmp_path / "a/0.tar", files("y"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_tar, "write_atomic", full)
    with pytest.raises(PargoError, match=f"cannot index {tar}: .*No space left"):
        bring(tmp_path)


def test_names_that_make_one_id_twice_are_refused(tmp_path):
    write_tar(tmp_path / "a/x.tar", files("y-z"))
    write_tar(tmp_path / "a/x-y.tar", files("z"))
    with pytest.raises(InputError, match="'a-x-y-z' is there twice"):
        bring(tmp_path)


def test_an_import_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    tars = [write_tar(tmp_path / f"a/{number}.tar", files(f"{number}", number)) for number in range(4)]
    done: list[str] = []
    index_tar = image_shards.index_tar

    def count(tar: image_tar.Tar, work: Path) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        index_tar(tar, work)
        done.append(tar.path.name)

    monkeypatch.setattr(image_shards, "index_tar", count)
    with pytest.raises(KeyboardInterrupt):
        bring(tmp_path)
    assert not list((tmp_path / "out").iterdir())
    write_tar(tars[1], files("9", 9))  # changed in between
    (tmp_path / "work/a-0.parquet").write_bytes(b"half")  # not that it could be
    done.clear()
    monkeypatch.setattr(image_shards, "index_tar", lambda tar, work: (index_tar(tar, work), done.append(tar.path.name)))
    shards, _, _ = bring(tmp_path)
    assert done == ["0.tar", "1.tar", "3.tar"]
    assert shards.ids == ["a-0-0", "a-1-9", "a-2-2", "a-3-3"]
    shards.verify()
    assert not (tmp_path / "work").exists()


KILLED = """
import os, sys
from pathlib import Path
from pargo.config.sources.image_shards import ImageShardsSource
from pargo.sources import download
from pargo.sources.importers import image_shards, image_tar
index_tar, count = image_shards.index_tar, int(sys.argv[1])
def index(tars, work, where):
    for tar in tars[:count]:
        index_tar(tar, work)
    os.kill(os.getpid(), 9)
image_shards._index_all = index
source = ImageShardsSource(kind="image_shards", shards={"a": "a"}, max_broken=0.5)
settings = download.DownloadSettings(id="pool", source=source)
download.run(settings, Path("artifacts/pool"), run_directory=Path("runs/pool"))
"""


def test_the_stage_downloads_by_indexing_and_survives_kills(tmp_path, monkeypatch):
    """With relative folders, as a config has them; equal pools give equal bytes, killed or not."""
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        write_tar(Path(f"a/{number}.tar"), [*files(f"{number}"), ("broken.txt", b"")])
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    for count, parts in ((2, {"a-0", "a-1"}), (2, {"a-0", "a-1", "a-2", "a-3"}), (0, {"a-0", "a-1", "a-2", "a-3"})):
        assert subprocess.run([sys.executable, "-c", KILLED, str(count)], env=os.environ | paths).returncode == -9
        assert sorted(file.stem for file in Path("runs/pool").rglob("*.parquet")) == sorted(parts)
    assert not Path("artifacts/pool").exists()
    done: list[str] = []
    index_tar = image_shards.index_tar
    monkeypatch.setattr(image_shards, "index_tar", lambda tar, work: (index_tar(tar, work), done.append(tar.path.name)))
    source = ImageShardsSource(kind="image_shards", shards={"a": "a"}, max_broken=0.5)
    settings = download.DownloadSettings(id="pool", source=source)
    for run, indexed in (("pool", ["4.tar"]), ("other", [f"{number}.tar" for number in range(5)])):
        done.clear()
        download.run(settings, Path(f"artifacts/{run}"), run_directory=Path(f"runs/{run}"))
        assert done == indexed
        verify(Path(f"artifacts/{run}"))
        assert not list(Path(f"runs/{run}").rglob("*.parquet"))
    first, second = (
        {file.relative_to(root): file.read_bytes() for file in root.rglob("*") if file.is_file()}
        for root in (Path("artifacts/pool"), Path("artifacts/other"))
    )
    unequal = {str(name) for name in first if first[name] != second[name]}
    assert first.keys() == second.keys()
    assert unequal <= {"run.json"}
    assert Shards(Path("artifacts/pool/train")).ids == [f"a-{number}-{number}" for number in range(5)]


def test_tars_are_indexed_by_several_processes(tmp_path):
    """The pool itself: what it finds, and that an error of a worker is the import's."""
    for number in range(3):
        write_tar(tmp_path / f"a/{number}.tar", files(f"{number}", number))
    shards, _, _ = bring(tmp_path)
    shards.verify()
    assert len(shards) == 3
    write_tar(tmp_path / "a/9.tar", [ATTACKS["symbolic link"]])
    with pytest.raises(InputError, match="is a link"):
        bring(tmp_path)


def test_without_a_run_directory_nothing_is_left_of_an_import_that_failed(tmp_path):
    write_tar(tmp_path / "a/0.tar", files("0"))
    write_tar(tmp_path / "a/1.tar", [ATTACKS["fifo"]])
    source = ImageShardsSource(kind="image_shards", shards={"a": str(tmp_path / "a")})
    with pytest.raises(InputError, match="refused"):
        download.run(download.DownloadSettings(id="pool", source=source), tmp_path / "artifacts/pool")
    assert not list((tmp_path / "artifacts").iterdir())


SLOW = """
import os, sys, time
from pathlib import Path
from pargo.config.sources.image_shards import ImageShardsSource
from pargo.sources.importers import image_shards, image_tar
def slow(tar, work):
    (work / str(os.getpid())).touch()
    time.sleep(60)
slow.__module__, slow.__qualname__ = image_shards.__name__, "index_tar"
image_shards.index_tar = slow
if __name__ == "__main__":
    source = ImageShardsSource(kind="image_shards", shards={"a": "a"})
    image_shards.import_image_shards(source, Path("out"), Path("work"))
"""


def test_processes_end_with_an_import_that_is_killed(tmp_path):
    write_tar(tmp_path / "a/0.tar", files("0"))
    (tmp_path / "slow.py").write_text(SLOW)
    paths = {"PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, "slow.py"], cwd=tmp_path, env=os.environ | paths)
    work = tmp_path / "work"
    wait_until(lambda: work.exists() and any(work.iterdir()))
    worker = psutil.Process(int(next(work.iterdir()).name))
    parent.kill()
    parent.wait()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
