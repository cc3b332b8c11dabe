"""One policy on archives: whoever unpacks or reads one refuses the same things in the same words."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks.formats.official import open_files
from pargo.benchmarks.mmbench.tables import read_table
from pargo.benchmarks.questions import write_source
from pargo.errors import InputError, PargoError
from pargo.fetch.archives import Limits, zip_files
from pargo.fetch.names import leads_out
from pargo.fetch.unpack import unpack
from pargo.sources.tars import members


def _unpack(path: Path) -> None:
    unpack(path, path.parent / "out")


def _official(path: Path) -> None:
    with open_files([path]) as files:
        assert all(entry.read() is not None for entry in files.entries)


def _excel(path: Path) -> None:
    read_table(path.read_bytes(), f"{path}.xlsx", ["index"])


def _pool(path: Path) -> None:
    with path.open("rb") as file:
        list(members(path, file))


ZIPS = {"unpack": _unpack, "official": _official, "excel": _excel}
TARS = {"unpack": _unpack, "pool": _pool}
LEADS_OUT = ["/etc/x", "../x", "a/../../x", "a/..", "a\\..\\x", "..", "a\\x", "../x/", "/x/", "a/../"]
CLASHES = {
    "'a/x' is there twice": ["a/x", "a/x"],
    "'a/x' is there twice; refused": ["a/x", "a//x"],
    "'A/x' and 'a/X' differ in upper and lower case alone": ["a/X", "A/x"],
    "'a' is both a file and a folder": ["a", "a/x"],
    "'a/x' is both a file and a folder": ["A/x/", "a/x"],
}


def zip_file(path: Path, names: list[str], mode: int = 0, data: bytes = b"one") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, mode << 16
            archive.writestr(info, b"" if name.endswith("/") else data)
    return path


def tar_file(path: Path, *infos: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, length: int = 0, **pax: str) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size = kind, length
    found.pax_headers = {name.replace("_", "."): value for name, value in pax.items()}
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        found.linkname = "/etc/passwd"
    return found


def refused(take: Callable[[Path], None], path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        take(path)
    assert "no archive" not in str(caught.value)
    assert path.name in str(caught.value)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("user", ZIPS)
@pytest.mark.parametrize("name", [*LEADS_OUT, "C:\\x", "c:x", "a:b"])
def test_names_that_lead_out_of_a_zip(tmp_path, user, name):
    refused(ZIPS[user], zip_file(tmp_path / "x.zip", ["good", name]), "leads out of the archive; refused")


@pytest.mark.parametrize("user", TARS)
@pytest.mark.parametrize("name", LEADS_OUT)
def test_names_that_lead_out_of_a_tar(tmp_path, user, name):
    kind = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
    refused(TARS[user], tar_file(tmp_path / "x.tar", info("good"), info(name, kind)), "leads out of the archive")


@pytest.mark.parametrize("user", ZIPS)
def test_a_name_with_a_zero_byte(tmp_path, user):
    path = zip_file(tmp_path / "x.zip", ["goodX.txt"])
    path.write_bytes(path.read_bytes().replace(b"goodX", b"good\0"))
    refused(ZIPS[user], path, "leads out of the archive")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("user", ZIPS)
@pytest.mark.parametrize("message", CLASHES)
def test_names_that_clash(tmp_path, user, message):
    refused(ZIPS[user], zip_file(tmp_path / "x.zip", CLASHES[message]), message)


@pytest.mark.parametrize("message", CLASHES)
def test_names_that_clash_in_a_tar(tmp_path, message):
    infos = [info(name, tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE) for name in CLASHES[message]]
    refused(_unpack, tar_file(tmp_path / "x.tar", *infos), message)


@pytest.mark.parametrize("user", ZIPS)
@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
@pytest.mark.parametrize("name", ["a", "a/"])
def test_links_and_devices_of_a_zip(tmp_path, user, mode, name):
    path = zip_file(tmp_path / "x.zip", ["b", name])
    archive = path.read_bytes()
    place = archive.rindex(b"PK\x01\x02") + 38
    path.write_bytes(archive[:place] + struct.pack("<I", (mode | 0o777) << 16) + archive[place + 4 :])
    if mode == stat.S_IFDIR and name == "a/":
        with zipfile.ZipFile(path) as opened:
            assert [member.name for member in zip_files("x", opened, 1, Limits())] == ["b"]
    else:
        refused(ZIPS[user], path, f"'{name}' is a link or a special file; refused")


SPECIAL = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]


@pytest.mark.parametrize("user", TARS)
@pytest.mark.parametrize("kind", SPECIAL)
def test_links_devices_and_sparse_files_of_a_tar(tmp_path, user, kind):
    refused(TARS[user], tar_file(tmp_path / "x.tar", info("a"), info("b", kind)), "'b' is a link or a special file")


PAX = {
    "'b' is a link or a special file": {"GNU_sparse_map": "0,1", "GNU_sparse_size": "1"},
    "a header at byte .* says .* bytes; refused": {"comment": "x" * (1 << 21)},
    "says -512 bytes; refused|has -512 bytes; refused": {"size": "-512"},
}


@pytest.mark.parametrize("user", TARS)
@pytest.mark.parametrize("message", PAX)
def test_headers_of_a_tar(tmp_path, user, message):
    refused(TARS[user], tar_file(tmp_path / "x.tar", info("a"), info("b", **PAX[message])), message)


@pytest.mark.parametrize("user", TARS)
def test_two_tars_in_one_file(tmp_path, user):
    path = tar_file(tmp_path / "x.tar", info("a", length=700))
    path.write_bytes(path.read_bytes() * 2)
    refused(TARS[user], path, "holds data behind its end")


@pytest.mark.parametrize("user", ZIPS)
@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [(8, 1, "is encrypted"), (8, 0x2000, "is encrypted"), *((10, n, "neither stored nor") for n in (9, 12, 14, 99))],
)
def test_encrypted_files_and_other_methods(tmp_path, user, offset, value, message):
    path = zip_file(tmp_path / "x.zip", ["b", "a"])
    archive = path.read_bytes()
    place = archive.rindex(b"PK\x01\x02") + offset
    path.write_bytes(archive[:place] + struct.pack("<H", value) + archive[place + 2 :])
    refused(ZIPS[user], path, f"'a' {message}|'a' is {message}")


@pytest.mark.parametrize("user", ZIPS)
def test_a_bomb(tmp_path, user):
    path = zip_file(tmp_path / "x.zip", ["a"], data=bytes(30_000_000))
    refused(ZIPS[user], path, "would unpack to 30,000,000 bytes in 1 files or more; at most")


def test_limits(tmp_path):
    path = zip_file(tmp_path / "x.zip", ["a", "b/", "b/c"])
    with zipfile.ZipFile(path) as archive:
        assert [member.name for member in zip_files("x", archive, 1, Limits(6, 3, 3))] == ["a", "b/c"]
        for limits, message in (
            (Limits(5, 3, 3), "x: would unpack to 6 bytes in 3 files or more; at most 5 bytes in 3 files are accepted"),
            (Limits(6, 2, 3), "x: would unpack to 6 bytes in 3 files"),  # empty folders fill a disk, too
            (Limits(6, 3, 2), "x: 'a' has 3 bytes, more than 2"),
        ):
            with pytest.raises(InputError, match=message):
                zip_files("x", archive, 1, limits)


def test_names_of_a_pool_may_have_colons_and_clash_since_no_file_is_named_so(tmp_path):
    path = tar_file(tmp_path / "x.tar", *map(info, ["a:b.jpg", "A:b.jpg", "a:b.jpg"]))
    with path.open("rb") as file:
        assert [member.name for member in members(path, file)] == ["a:b.jpg", "A:b.jpg", "a:b.jpg"]
    refused(_unpack, path, "leads out of the archive")


@pytest.mark.parametrize("name", ["./", "./a/", "./a/b", "a/./b", ".hidden", "a..b", "...", "a b", "ä/日"])
def test_ordinary_names(tmp_path, name):
    _official(zip_file(tmp_path / "x.zip", [name, "good"]))
    kind = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
    path = tar_file(tmp_path / "x.tar", info(name, kind), info("good"))
    _pool(path)
    _unpack(path)
    assert (tmp_path / "out" / "good").is_file()


@given(st.text("ab/.\\:\0", max_size=8))
def test_what_does_not_lead_out_stays_below_its_folder(name):
    folder = Path("/folder")
    if not leads_out(name):
        place = Path(*(folder / name).parts)
        assert place != folder
        assert place.is_relative_to(folder)
        assert ".." not in place.parts
        assert not set(name) & set("\\:\0")
    assert leads_out(f"../{name}")
    assert leads_out(f"/{name}")


@pytest.mark.parametrize("name", ["/x.png", "../x.png", "a\\x.png", "a:b.png", ""])
def test_images_of_a_source_are_written_below_it(tmp_path, name):
    with pytest.raises(PargoError, match="leads out of the source"):
        write_source(tmp_path / "source", [], [(name, b"1")])
