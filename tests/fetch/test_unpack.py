"""Archives made to harm: refused before a byte is written, and nothing is left of them."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pargo.errors import InputError
from pargo.fetch.archives import Limits
from pargo.fetch.unpack import unpack

GOOD = {"a/b.txt": b"one", "a/c.jpg": b"two" * 1000, "d": b""}


def zipped(path: Path, files: dict[str, bytes], **attributes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = attributes.get(name.replace("/", "_"), 0) << 16
            archive.writestr(info, data)
    return path


def tarred(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def files(directory: Path) -> dict[str, bytes]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def refused(archive: Path, message: str, **limits: int) -> None:
    target = archive.parent / "out" / "target"
    with pytest.raises(InputError, match=message):
        unpack(archive, target, limits=Limits(**limits))
    assert not any((archive.parent / "out").iterdir())
    assert {path.name for path in archive.parent.iterdir()} == {archive.name, "out"}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_good_archive(tmp_path, kind):
    if kind == "zip":
        archive = zipped(tmp_path / "x.zip", GOOD)
    else:
        archive = tarred(tmp_path / f"x.{kind}", *((member(name), data) for name, data in GOOD.items()))
    unpack(archive, tmp_path / "out")
    assert files(tmp_path / "out") == GOOD
    with pytest.raises(FileExistsError):
        unpack(archive, tmp_path / "out")


ESCAPES = ["/etc/x", "../x", "a/../../x", "a/..", "C:\\x", "c:x", "a\\..\\x", "", "."]


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_leave_the_target_tar(tmp_path, name):
    refused(tarred(tmp_path / "x.tar", (member("good"), b"1"), (member(name), b"2")), "leads out of the archive")


@pytest.mark.parametrize("name", [name for name in ESCAPES if name])
def test_names_that_leave_the_target_zip(tmp_path, name):
    refused(zipped(tmp_path / "x.zip", {"good": b"1", name: b"2"}), "leads out of the archive")


def test_a_name_with_a_zero_byte(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"goodX.txt": b"1"})
    archive.write_bytes(archive.read_bytes().replace(b"goodX", b"good\0"))
    refused(archive, "leads out of the archive")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_links_and_devices_tar(tmp_path, kind):
    if kind == tarfile.CONTTYPE:  # an old kind of regular file
        unpack(tarred(tmp_path / "x.tar", (member("a", kind), b"1")), tmp_path / "out")
        assert files(tmp_path / "out") == {"a": b"1"}
        return
    refused(tarred(tmp_path / "x.tar", (member("a", kind, "/etc/passwd"), b"")), "a link or a special file")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_zip(tmp_path, mode):
    refused(zipped(tmp_path / "x.zip", {"a": b"/etc/passwd"}, a=mode | 0o777), "a link or a special file")


def test_a_link_and_a_file_behind_it(tmp_path):
    link = member("folder", tarfile.SYMTYPE, str(tmp_path))
    refused(tarred(tmp_path / "x.tar", (link, b""), (member("folder/x"), b"1")), "a link or a special file")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("b/x", "B/X")])
def test_a_name_twice(tmp_path, names):
    refused(
        tarred(tmp_path / "x.tar", *((member(name), b"1") for name in names)),
        "is there twice|differ in upper and lower case alone",
    )


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a", "A/c/d")])
def test_a_file_that_is_also_a_folder(tmp_path, names):
    archive = tarred(tmp_path / "x.tar", (member(names[0]), b"1"), (member(names[1]), b"1"))
    refused(archive, "'a' is both a file and a folder")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb(tmp_path, kind):
    data = b"\0" * 30_000_000
    path = tmp_path / f"x.{kind}"
    archive = zipped(path, {"a": data}) if kind == "zip" else tarred(path, (member("a"), data))
    assert archive.stat().st_size < 100_000
    refused(archive, "would unpack to 30,000,000 bytes in 1 files or more; at most")


def test_more_bytes_than_stated(tmp_path):
    archive = zipped(tmp_path / "x.zip", {"a": b"x" * 5000})
    data = bytearray(archive.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 10)  # the directory's word on the size
    archive.write_bytes(data)
    refused(archive, "longer than stated|damaged")


def test_a_list_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    archive = tarred(tmp_path / "x.tar.gz", *((member(f"{index}"), b"") for index in range(500)))
    read = []
    following = tarfile.TarFile.next
    monkeypatch.setattr(tarfile.TarFile, "next", lambda self: (read.append(1), following(self))[1])
    refused(archive, "11 files or more", max_files=10)
    assert len(read) < 20


def test_too_many(tmp_path):
    refused(zipped(tmp_path / "x.zip", {f"{index}": b"" for index in range(11)}), "11 files", max_files=10)
    (tmp_path / "out").rmdir()
    refused(tmp_path / "x.zip", "at most", max_bytes=0, max_files=3)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(306, "zip", b"\x00\x00\x01\x00\x00")  # the first member would begin before the file
@given(st.integers(0, 2000), st.sampled_from(["zip", "tar"]), st.binary(max_size=20))
def test_a_damaged_archive_leaves_nothing(tmp_path_factory, cut, kind, junk):
    folder = tmp_path_factory.mktemp("damaged")
    if kind == "zip":
        archive = zipped(folder / "x.zip", GOOD)
    else:
        archive = tarred(folder / "x.tar", *((member(name), data) for name, data in GOOD.items()))
    data = archive.read_bytes()
    archive.write_bytes(data[: cut % len(data)] + junk)
    try:
        unpack(archive, folder / "out")
    except InputError:
        assert {path.name for path in folder.iterdir()} == {archive.name}


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("place", ["header", "end"])
def test_a_tar_that_seems_to_end_early(tmp_path, kind, place):
    """A damaged header looks like the end; a tar cut at a block has none."""
    archive = tarred(tmp_path / "x.tar", *((member(name), b"1" * 600) for name in "abc"))
    data = bytearray(archive.read_bytes())
    archive.unlink()
    second = 512 + 1024
    data = data[: second + 148] + b"xxxxxxxx" + data[second + 156 :] if place == "header" else data[: 2 * second]
    archive = tmp_path / f"y.{kind}"
    archive.write_bytes(gzip.compress(data) if kind == "tar.gz" else data)
    refused(archive, "is no archive, or damaged|is damaged: no header at byte")


def test_a_wrong_checksum_of_the_compression(tmp_path):
    archive = tarred(tmp_path / "x.tar.gz", (member("a"), b"1" * 600))
    data = bytearray(archive.read_bytes())
    data[-6] ^= 0xFF
    archive.write_bytes(data)
    refused(archive, "is no archive, or damaged")


def test_damaged_members_of_a_zip(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(range(256)) * 8)
    data = bytearray(path.read_bytes())
    for place in range(45, 75):
        data[place] ^= 0xFF
    path.write_bytes(data)
    refused(path, "is no archive, or damaged|is longer than stated")


def test_a_name_that_is_too_long(tmp_path):
    refused(zipped(tmp_path / "x.zip", {"a" * 300: b"one"}), "a name in it is too long")
