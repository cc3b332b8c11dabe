"""Shards and image sets: what is written comes back, in a standard tar, with equal bytes, and faults are told."""

import hashlib
import io
import json
import multiprocessing
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.data import shard_index
from pargo.data.images import open_images
from pargo.data.shards import INDEX, MAX_OPEN, Shards, ShardWriter
from pargo.errors import PargoError


def png(value: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (3, 2), value if mode == "L" else (value, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


def write(directory, count=7, per_shard=3):
    with ShardWriter(directory, per_shard) as writer:
        for index in range(count):
            writer.write(png(index), {"id": f"{index:03d}", "conversation": [["é?", "yes"]] * index})
    return directory


def test_round_trip_in_any_order(tmp_path):
    shards = Shards(write(tmp_path / "train"))
    assert shards.ids == [f"{index:03d}" for index in range(7)]
    for index in (6, 0, 3, 2, 6):
        identifier = f"{index:03d}"
        assert shards.read(identifier) == png(index)
        assert shards.record(identifier) == {"id": identifier, "conversation": [["é?", "yes"]] * index}
        assert shards.load(identifier).getpixel((0, 0)) == (index, 0, 0)


def test_shards_are_plain_tar_files_in_webdataset_layout(tmp_path):
    directory = write(tmp_path / "train")
    names = []
    for path in sorted(directory.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                names.append(member.name)
                assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
            assert json.load(archive.extractfile(archive.getnames()[1]))["id"] == archive.getnames()[0][:3]
    assert names == [f"{index:03d}.{extension}" for index in range(7) for extension in ("png", "json")]
    assert sorted(path.name for path in directory.iterdir()) == [INDEX, *(f"shard-0000{n}.tar" for n in range(3))]


def test_equal_samples_give_equal_bytes(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {p.name: p.read_bytes() for p in second.iterdir()}


def test_a_failed_write_leaves_no_half_shard_and_no_index(tmp_path):
    def fail():
        with ShardWriter(tmp_path / "x", 2) as writer:
            for index in range(3):
                writer.write(png(index), {"id": str(index)})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["shard-00000.tar"]
    with pytest.raises(PargoError, match="no finished folder"):
        Shards(tmp_path / "x")


@pytest.mark.parametrize("identifier", ["0", "a/b", "", "é", "x" * 91])
def test_ids_that_cannot_be_names_or_come_twice_are_refused(tmp_path, identifier):
    with pytest.raises(ValueError, match="id"), ShardWriter(tmp_path) as writer:  # noqa: PT012
        writer.write(png(0), {"id": "0"})
        writer.write(png(0), {"id": identifier})


def test_faults_name_the_file_and_the_sample(tmp_path):
    shards = Shards(write(tmp_path / "train"))
    with pytest.raises(PargoError, match="no sample '9'"):
        shards.read("9")
    os.truncate(tmp_path / "train" / "shard-00000.tar", 600)
    with pytest.raises(PargoError, match=r"shard-00000\.tar is truncated.*'002'"):
        shards.record("002")


def test_a_copy_for_another_process_opens_its_own_files(tmp_path):
    shards = Shards(write(tmp_path / "train"))
    shards.read("000")
    copy = pickle.loads(pickle.dumps(shards))  # noqa: S301 - made here
    assert copy.read("004") == png(4)


def test_open_images_reads_both_layouts_as_rgb(tmp_path):
    write(tmp_path / "train")
    folder = tmp_path / "test" / "count"
    folder.mkdir(parents=True)
    (folder / "b.PNG").write_bytes(png(9, "L"))
    (folder / "b.txt").write_text("no image")
    (folder / "a.png").write_bytes(png(8))
    assert open_images(tmp_path, "train").load("005").getpixel((0, 0)) == (5, 0, 0)
    images = open_images(tmp_path, "test")
    assert images.ids == ["count/a.png", "count/b.PNG"]
    assert images.load("count/b.PNG").getpixel((1, 1)) == (9, 9, 9)
    assert images.read("count/a.png") == png(8)
    with pytest.raises(PargoError, match="no image"):
        images.load("../train/index.parquet")


def test_open_images_names_the_splits_there_are(tmp_path):
    write(tmp_path / "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PargoError, match="no split 'test'; choices: empty, train"):
        open_images(tmp_path, "test")
    with pytest.raises(PargoError, match="holds no images"):
        open_images(tmp_path, "empty")
    with pytest.raises(PargoError, match="choices: none"):
        open_images(tmp_path / "absent", "test")


def test_ids_are_a_sequence_and_no_list(tmp_path):
    with ShardWriter(tmp_path, 2) as writer:
        for identifier in ("b", "a-1", "Z", "a", "_"):
            writer.write(png(0), {"id": identifier})
    ids = Shards(tmp_path).ids
    assert not isinstance(ids, list)
    assert (len(ids), ids[0], ids[-1], ids[1:4]) == (5, "b", "_", ["a-1", "Z", "a"])
    assert list(ids) == ["b", "a-1", "Z", "a", "_"]
    assert [ids.index(identifier) for identifier in ids] == list(range(5))
    assert all(identifier in ids for identifier in ids)
    assert not any(other in ids for other in ("", "A", "a-", "z", "é", None, 3))
    assert ids == ["b", "a-1", "Z", "a", "_"]
    assert ids != ["b", "a-1", "Z", "a", "x"]
    assert ids != ids[:4]
    with pytest.raises(IndexError):
        ids[5]
    with pytest.raises(ValueError, match="no id 'c'"):
        ids.index("c")


def test_membership_and_checksums_by_id(tmp_path):
    shards = Shards(write(tmp_path / "train"))
    assert "004" in shards
    assert "007" not in shards
    assert shards.sha256("004") == hashlib.sha256(png(4)).digest()
    with pytest.raises(PargoError, match="no sample '007'; it has 7 samples"):
        shards.sha256("007")


def test_no_samples_are_a_folder_of_shards(tmp_path):
    shards = Shards(write(tmp_path / "train", 0))
    assert (len(shards), list(shards.ids), "0" in shards) == (0, [], False)
    shards.verify()


def test_other_bytes_than_were_written_are_refused_with_both_checksums(tmp_path):
    shards = Shards(write(tmp_path / "train"))
    shards.verify()
    path = tmp_path / "train" / "shard-00001.tar"
    data = path.read_bytes()
    place = data.index(png(4))
    path.write_bytes(data[:place] + png(9) + data[place + len(png(9)) :])
    was, found = (hashlib.sha256(png(value)).hexdigest() for value in (4, 9))
    message = rf"shard-00001\.tar: the image of sample '004' has sha256 {found}, the index says {was}"
    for read in (lambda: shards.read("004"), lambda: shards.load("004"), shards.verify):
        with pytest.raises(PargoError, match=message):
            read()
    assert shards.read("003") == png(3)


def test_an_index_of_other_shards_is_noticed(tmp_path):
    shards, other = write(tmp_path / "train"), tmp_path / "other"
    with ShardWriter(other, 3) as writer:
        for index in range(7):
            writer.write(png(index), {"id": f"x{index:02d}", "conversation": [["é?", "yes"]] * index})
    (shards / INDEX).write_bytes((other / INDEX).read_bytes())
    with pytest.raises(PargoError, match=r"shard-00000\.tar: the record of sample 'x00' is damaged, or another's"):
        Shards(shards).verify()
    (shards / "shard-00002.tar").unlink()
    with pytest.raises(PargoError, match=r"cannot read sample 'x06': .*shard-00002\.tar: No such file"):
        Shards(shards).read("x06")


def change(table: pa.Table, name: str, column: object) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(column, table.schema.field(name).type))


DAMAGE = {
    "holds no row numbers": lambda table: change(table, "order", [0, 1, 2, 3, 4, 5, 7]),
    "does not sort the ids": lambda table: change(table, "order", [1, 0, 2, 3, 4, 5, 6]),
    "'000' is there twice": lambda table: change(table, "id", ["000", "000", "2", "3", "4", "5", "6"]),
    "holds negative places": lambda table: change(table, "image_offset", [-1] * 7),
    "no column sha256, order": lambda table: table.drop_columns(["sha256", "order"]),
    "column image_size holds string": lambda table: table.drop_columns(["image_size"]).append_column(
        "image_size", pa.array(["1"] * 7)
    ),
    "column shard holds string, 7 nulls": lambda table: change(table, "shard", [None] * 7),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_index_is_refused(tmp_path, message):
    path = write(tmp_path / "train") / INDEX
    pq.write_table(DAMAGE[message](pq.read_table(path)), path)
    with pytest.raises(PargoError, match=message):
        Shards(tmp_path / "train")


def test_an_index_that_is_none_is_refused(tmp_path):
    path = write(tmp_path / "train") / INDEX
    for data in (b"", b"PAR1", path.read_bytes()[:-20], b"x" * 4000):
        path.write_bytes(data)
        with pytest.raises(PargoError, match="is damaged"):
            Shards(tmp_path / "train")


def test_an_index_of_many_parts_is_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_index, "_GROUP", 3)
    ids = [str(number * 7 % 50) for number in range(50)]
    with ShardWriter(tmp_path, 4) as writer:
        for identifier in ids:
            writer.write(png(int(identifier)), {"id": identifier})
    shards = Shards(tmp_path)
    assert pq.ParquetFile(tmp_path / INDEX).num_row_groups == 17
    assert shards.ids == ids
    assert [shards.read(identifier) for identifier in ids] == [png(int(identifier)) for identifier in ids]


def test_few_files_are_open_however_many_there_are(tmp_path):
    shards = Shards(write(tmp_path / "train", 3 * MAX_OPEN, 1))
    before = psutil.Process().num_fds()
    for _ in range(2):
        for identifier in shards.ids:
            shards.read(identifier)
    assert psutil.Process().num_fds() == before + MAX_OPEN
    del shards
    assert psutil.Process().num_fds() == before


def test_threads_read_while_files_are_closed_and_opened(tmp_path):
    shards = Shards(write(tmp_path / "train", 2 * MAX_OPEN, 1))
    with ThreadPoolExecutor(8) as pool:
        for index, data in enumerate(pool.map(shards.read, [f"{index:03d}" for index in range(128)] * 8)):
            assert data == png(index % 128)


def test_a_forked_process_reads_on(tmp_path):
    shards = Shards(write(tmp_path / "train"))
    shards.read("000")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(shards.read, ["000", "004", "006"]) == [png(0), png(4), png(6)]
    assert shards.read("001") == png(1)


def test_a_shard_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events = []

    def sync(number: int) -> None:
        events.append(("sync", Path(f"/proc/self/fd/{number}").readlink().name))

    monkeypatch.setattr(os, "fsync", sync)
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, to: (events.append(("name", to.name)), replace(path, to)))
    write(tmp_path / "train", 4)
    partial = ("sync", ".shard.partial")
    index = [("sync", f".{INDEX}"), ("name", INDEX)]
    assert events == [partial, ("name", "shard-00000.tar"), partial, ("name", "shard-00001.tar"), *index]
