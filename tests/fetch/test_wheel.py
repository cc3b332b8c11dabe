"""Wheels: fetched by real pip from a local folder; every fault gives a clear error and leaves nothing behind."""

import os
import shutil
import zipfile

import pytest

from pargo.errors import PargoError
from pargo.fetch.table import Wheel
from pargo.fetch.wheel import check, fetch
from pargo.files import sha256_file, user_cache_directory

NAME = "pargo_fake-1.0-py3-none-any.whl"
INFO = "pargo_fake-1.0.dist-info"


def make_wheel(folder, files):
    """A small but valid wheel with these data files; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: pargo-fake\nVersion: 1.0\n")
        archive.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{INFO}/LICENSE", "free")
        archive.writestr(f"{INFO}/RECORD", "")
    return path


def make_pin(wheel, importer="easy_vqa", **changes):
    values = {"package": "pargo-fake", "version": "1.0", "sha256": sha256_file(wheel), "size": wheel.stat().st_size}
    return Wheel(kind="wheel", **values | {"licence": "MIT", "note": "", "importer": importer} | changes)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is the only package index pip knows."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_a_verified_wheel_is_kept_and_not_fetched_again(tmp_path, index):
    wheel = make_wheel(index, {"x/data.txt": "1"})
    pin = make_pin(wheel)
    path = fetch(pin, tmp_path / "cache", delays=())
    assert path.read_bytes() == wheel.read_bytes()
    wheel.unlink()
    assert fetch(pin, tmp_path / "cache", delays=()) == path
    assert list((tmp_path / "cache").iterdir()) == [path]


def test_a_bad_file_in_the_cache_is_replaced(tmp_path, index):
    pin = make_pin(make_wheel(index, {"x/data.txt": "1"}))
    path = fetch(pin, tmp_path / "cache", delays=())
    os.truncate(path, 100)
    assert fetch(pin, tmp_path / "cache", delays=()) == path
    check(path, pin)


def test_a_wrong_hash_names_both_and_keeps_nothing(tmp_path, index):
    wheel = make_wheel(index, {"x/data.txt": "1"})
    pin = make_pin(wheel, sha256="0" * 64)
    with pytest.raises(PargoError) as error:
        fetch(pin, tmp_path / "cache", delays=())
    for part in ("pargo-fake 1.0", "0" * 64, sha256_file(wheel), "Run the command again"):
        assert part in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_truncated_file_is_called_so(tmp_path):
    wheel = make_wheel(tmp_path / "w", {"x/data.txt": "1" * 1000})
    pin = make_pin(wheel)
    os.truncate(wheel, 500)
    with pytest.raises(PargoError, match=rf"truncated.*\n.*{pin.size} bytes.*\n.*500 bytes"):
        check(wheel, pin)


def test_a_truncated_download_keeps_nothing(tmp_path, index):
    wheel = make_wheel(index, {"x/data.txt": "1" * 1000})
    pin = make_pin(wheel)
    os.truncate(wheel, 500)
    with pytest.raises(PargoError, match=r"pargo-fake 1\.0"):
        fetch(pin, tmp_path / "cache", delays=())
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_network_tells_what_to_check(tmp_path, index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "0")
    pin = make_pin(make_wheel(tmp_path / "elsewhere", {}))
    with pytest.raises(PargoError, match=r"pargo-fake 1\.0: pip could not download(.|\n)*Check the network"):
        fetch(pin, tmp_path / "cache", delays=())
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_retry_succeeds_after_a_failure(tmp_path, index):
    wheel = make_wheel(tmp_path / "elsewhere", {"x/data.txt": "1"})
    waits = []

    def network_comes_back(seconds):
        waits.append(seconds)
        shutil.copy(wheel, index)

    path = fetch(make_pin(wheel), tmp_path / "cache", delays=(7.0, 9.0), sleep=network_comes_back)
    assert path.read_bytes() == wheel.read_bytes()
    assert waits == [7.0]


def test_cache_folder_honours_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_directory() == tmp_path / "pargo"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # invalid by the standard: ignored
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache_directory() == tmp_path / "home" / ".cache" / "pargo"
