"""Shards and image sets: what is written comes back, in a standard tar, with equal bytes, and faults are told."""

import io
import json
import os
import pickle
import tarfile

import pytest
from PIL import Image

from pargo.data.images import open_images
from pargo.data.shards import INDEX, Shards, ShardWriter
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
