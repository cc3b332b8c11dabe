"""Rows of the table of downloads come whole and right, or not at all: from a hub and file servers on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from pargo.code import ROOT
from pargo.config.base import canonical_json
from pargo.config.experiment import load_config
from pargo.errors import PargoError
from pargo.fetch import folder as downloads
from pargo.fetch import kinds as fetchers
from pargo.fetch.folder import fetch_all, fetch_download
from pargo.fetch.table import AnyDownload, Folder, Http, Hub
from pargo.fetch.table import download as version
from pargo.graph.stage_settings import download
from tests.helpers.fetch_server import Served, file_server
from tests.helpers.hub_server import COMMIT, Repository, hub_server
from tests.helpers.project_marks import make_project

PLACE = "/{repo_id}/resolve/{revision}/{filename}"  # of a file on the hub
BIG = bytes(range(256)) * 4000


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Arguments of a fetch; the hub's own cache and token are elsewhere."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return {"data": tmp_path / "data", "lock": tmp_path / "lock.json"}


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    files = {
        "README.md": b"about",
        "list.json": b"[1, 2]",
        "train-0000.tar": BIG,
        "train-0001.tar": BIG[::-1],
        "validation-0000.tar": b"none of it",
    }
    with hub_server(Repository(files)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + PLACE)
        yield server


def row(**changes) -> Hub:
    values = {"kind": "hub", "repository": "owner/name", "revision": COMMIT, "files": ("train-*.tar", "list.json")}
    return Hub.model_validate({**values, "folder": "pool", **changes})


def there(place) -> dict[str, bytes]:
    """All files but those that say what was fetched as what."""
    data = place["data"]
    found = [path for path in data.rglob("*") if path.is_file() and path.parent.name != ".fetched"]
    return {path.relative_to(data).as_posix(): path.read_bytes() for path in found}


# The hub --------------------------------------------------------------------------------------------------------------


def test_files_of_a_commit_that_match_the_patterns(hub, place):
    assert fetch_download("pool", row(), **place) == place["data"] / "pool"
    expected = {f"pool/{name}": hub.files[name] for name in ("list.json", "train-0000.tar", "train-0001.tar")}
    assert there(place) == expected | {".fetching/pool.lock": b""}
    assert not place["lock"].exists()  # the commit says it all
    asked = len(hub.requests)
    fetch_download("pool", row(), **place)
    assert len(hub.requests) == asked


def test_a_folder_of_another_version_is_not_taken_for_this_one(hub, place):
    fetch_download("pool", row(), **place)
    fetch_download("pool", row(note="a remark", licence="MIT"), **place)
    with pytest.raises(PargoError, match=r"(?s)pool: .*when the table of downloads said something else"):
        fetch_download("pool", row(files=("train-*.tar",)), **place)
    shutil.rmtree(place["data"] / "pool")
    fetch_download("pool", row(files=("train-*.tar",)), **place)
    assert not (place["data"] / "pool" / "list.json").exists()
    shutil.rmtree(place["data"])
    (place["data"] / "pool").mkdir(parents=True)  # by hand
    assert fetch_download("pool", row(), **place) == place["data"] / "pool"


def test_a_model(hub, place):
    hub.kind, hub.files = "models", {"model.safetensors": BIG}
    fetch_download("tower", row(type="model", files=("*.safetensors",), folder="tower"), **place)
    assert (place["data"] / "tower" / "model.safetensors").read_bytes() == BIG


def test_without_a_commit_the_first_one_is_kept(hub, place):
    newest = row(revision=None)
    fetch_download("pool", newest, **place)
    assert json.loads(place["lock"].read_text()) == {"pool": {"revision": COMMIT}}
    shutil.rmtree(place["data"])
    hub.commit = "f" * 40  # the repository moved on
    with pytest.raises(PargoError, match=r"no dataset owner/name at 0123.*, which .*lock\.json keeps"):
        fetch_download("pool", newest, **place)
    assert not (place["data"] / "pool").exists()


def test_a_cut_stream_goes_on(hub, place):
    hub.cut = 5000
    fetch_download("pool", row(), **place)
    assert (place["data"] / "pool" / "train-0000.tar").read_bytes() == BIG
    assert len([path for path, _ in hub.requests if path.startswith("GET /datasets")]) == 4  # one file twice


def test_other_bytes_of_the_same_size_never_get_in_place(hub, place):
    hub.served["train-0001.tar"] = b"x" * len(BIG)
    for _ in range(2):
        with pytest.raises(PargoError, match=r"(?s)not what owner/name states at 0123.*train-0001\.tar: expected"):
            fetch_download("pool", row(), **place)
        assert not (place["data"] / "pool").exists()
    hub.served.clear()
    before = len(hub.requests)
    fetch_download("pool", row(), **place)
    asked = [path for path, _ in hub.requests[before:] if path.startswith("GET /datasets")]
    assert asked == [f"GET /datasets/owner/name/resolve/{COMMIT}/train-0001.tar"]  # the others stayed
    assert (place["data"] / "pool" / "train-0001.tar").read_bytes() == BIG[::-1]


def test_a_gate_is_named_and_opens_with_a_token(hub, place, monkeypatch, capfd):
    hub.gated = True
    gate = {"gate": "accept the terms of the repository"}
    with pytest.raises(PargoError) as refused:
        fetch_download("pool", row(**gate), **place)
    assert "accept the terms of the repository at https://huggingface.co/datasets/owner/name" in str(refused.value)
    assert "HF_TOKEN" in str(refused.value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret0123")
    fetch_download("pool", row(**gate), **place)
    output = capfd.readouterr()
    assert "hf_secret" not in output.out + output.err + str(there(place))


def test_a_full_disk_while_a_snapshot_comes(tmp_path):
    """A limit on the size of files stands in for the disk's; it is the kernel that refuses."""
    row = version("mme")
    name = row.files[0]
    with hub_server(Repository({name: BIG}, name=row.repository, commit=row.revision)) as server:
        arguments = ("data", "fetch", "mme", "--config", str(ROOT / "config/paper.yaml"))
        full = pargo(*arguments, hub=server, folder=tmp_path, preexec_fn=_small_files)
        assert (full.returncode, "Traceback" in full.stderr) == (1, False)
        assert "mme: no room in" in full.stderr
        assert not (tmp_path / "data" / "mme").exists()
        done = pargo(*arguments, hub=server, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "mme" / name).read_bytes() == BIG


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))


def test_a_repository_or_pattern_that_is_not_there(hub, place):
    with pytest.raises(PargoError, match="the hub has no dataset owner/other at 0123"):
        fetch_download("pool", row(repository="owner/other"), **place)
    with pytest.raises(PargoError, match=r"owner/name has no test-\*\.tar at 0123"):
        fetch_download("pool", row(files=("train-*.tar", "test-*.tar")), **place)


def test_a_signed_address_is_not_shown():
    error = OSError("Server error for url 'https://cdn/a?Policy=abc&Signature=SECRET' at https://cdn/b?X=SECRET now")
    text = fetchers._reason(error, row(), None, Path())
    assert "SECRET" not in text
    assert "https://cdn/a?..." in text


def test_no_hub(place, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PargoError, match=r"pool: .*run the command again to go on"):
        fetch_download("pool", row(), **place)


# Files over HTTP ------------------------------------------------------------------------------------------------------


def files(**pins) -> Http:
    return Http.model_validate({"kind": "http", "folder": "set", "files": pins})


def test_what_the_table_does_not_say_is_kept_from_the_first_fetch(place):
    sha256 = hashlib.sha256(BIG).hexdigest()
    with file_server(Served(BIG)) as server:
        table = files(a={"urls": (server.url,)}, b={"urls": (server.url,), "sha256": sha256})
        fetch_download("set", table, **place)
        assert json.loads(place["lock"].read_text()) == {"set": {"files": {"a": {"size": len(BIG), "sha256": sha256}}}}
        assert there(place) == {"set/a": BIG, "set/b": BIG, ".fetching/set.lock": b""}
        shutil.rmtree(place["data"])
        server.data = BIG[::-1]
        with pytest.raises(PargoError, match=r"(?s)set: a: .*is not the pinned file.*lock\.json keeps what"):
            fetch_download("set", files(a={"urls": (server.url,)}), **place)
    assert not (place["data"] / "set").exists()


def test_an_md5_is_checked_too(place):
    right = hashlib.md5(BIG, usedforsecurity=False).hexdigest()
    with file_server(Served(BIG)) as server:
        with pytest.raises(PargoError, match=rf"expected .* md5 {'0' * 32}; got .* md5 {right}"):
            fetch_download("set", files(a={"urls": (server.url,), "md5": "0" * 32}), **place)
        fetch_download("set", files(a={"urls": (server.url,), "md5": right}), **place)
    assert (place["data"] / "set" / "a").read_bytes() == BIG


def test_two_downloads_at_once_share_the_lock_file(place):
    with file_server(Served(BIG)) as server:
        rows = {f"set{number}": files(a={"urls": (server.url,)}) for number in range(8)}
        rows = {name: one.model_copy(update={"folder": name}) for name, one in rows.items()}
        threads = [threading.Thread(target=fetch_download, args=(*pair, *place.values())) for pair in rows.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(json.loads(place["lock"].read_text())) == sorted(rows)


def test_a_killed_fetch_goes_on_and_a_second_process_waits(place):
    data = BIG
    with file_server(Served(data, script=["slow", "slow"])) as server:
        text = f"""
from pathlib import Path
from pargo.fetch.folder import fetch_all, fetch_download
from pargo.fetch.table import Http
row = Http.model_validate({{"kind": "http", "folder": "set", "files": {{"a": {{"urls": ({server.url!r},)}}}}}})
fetch_download("set", row, Path({str(place["data"])!r}), Path({str(place["lock"])!r}))
"""
        first = subprocess.Popen([sys.executable, "-c", text])
        while server.sent < 100_000:
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert not (place["data"] / "set").exists()
        both = [subprocess.Popen([sys.executable, "-c", text], stderr=subprocess.PIPE, text=True) for _ in range(2)]
        errors = [process.communicate(timeout=60)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], errors
        assert "Range" in server.requests[1]
        assert len(server.requests) == 2
    assert (place["data"] / "set" / "a").read_bytes() == data


def test_a_full_disk_is_known_beforehand(place, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**8))
    with pytest.raises(PargoError, match=r"set: no room in .*: 0\.20 GB are needed, 0\.10 GB are free"):
        fetch_download("set", files(a={"urls": ("http://127.0.0.1:9/a",), "size": 200_000_000}), **place)
    row = files(**{"a.zip": {"urls": ("http://127.0.0.1:9/a",), "size": 90_000_000}})
    with pytest.raises(PargoError, match=r"0\.18 GB are needed.*with its archives"):
        fetch_download("set", row.model_copy(update={"unpack": "."}), **place)


# Archives -------------------------------------------------------------------------------------------------------------


def test_archives_are_unpacked_together(hub, place):
    hub.files = {"0.zip": zipped(**{"0/a.png": b"a", "0/b.png": b"b"}), "1.zip": zipped(**{"1/c.png": b"c"})}
    fetch_download("images", row(files=("*.zip",), unpack=".", folder="deep/images"), **place)
    expected = {"deep/images/0/a.png": b"a", "deep/images/0/b.png": b"b", "deep/images/1/c.png": b"c"}
    assert there(place) == expected | {".fetching/images.lock": b""}


def test_a_folder_of_an_archive(place):
    with file_server(Served(zipped(**{"train/a.jpg": b"a", "__MACOSX/x": b""}))) as server:
        table = files(**{"train.zip": {"urls": (server.url,)}}).model_copy(update={"unpack": "train"})
        fetch_download("set", table, **place)
        assert there(place) == {"set/a.jpg": b"a", ".fetching/set.lock": b""}
        shutil.rmtree(place["data"])
        with pytest.raises(PargoError, match="its archives hold no folder other; they hold __MACOSX, train"):
            fetch_download("set", table.model_copy(update={"unpack": "other"}), **place)
        asked = len(server.requests)
        fetch_download("set", table, **place)  # what was fetched stayed
        assert len(server.requests) == asked


def test_what_was_fetched_as_another_version_is_not_published(place):
    """A fetch that ended before its folder appeared, and a row that changed since."""
    with file_server(Served(zipped(**{"old/a.jpg": b"old"}))) as server:
        table = files(**{"x.zip": {"urls": (server.url,)}}).model_copy(update={"unpack": "new"})
        with pytest.raises(PargoError, match="hold no folder new"):
            fetch_download("set", table, **place)
    data = zipped(**{"new/a.jpg": b"new"})
    with file_server(Served(data)) as server:
        pinned = {"x.zip": {"urls": (server.url,), "sha256": hashlib.sha256(data).hexdigest()}}
        fetch_download("set", files(**pinned).model_copy(update={"unpack": "new"}), **place)
    assert (place["data"] / "set" / "a.jpg").read_bytes() == b"new"


@pytest.mark.parametrize("unpack", [None, "."])
def test_killed_while_it_clears_up_it_is_fetched_whole_again(hub, place, monkeypatch, unpack):
    hub.files = {f"{number}.zip": zipped(**{f"{number}/a.png": b"a"}) for number in range(4)}
    table, real = row(files=("*.zip",), unpack=unpack), shutil.rmtree

    def killed(path: Path, **options: bool) -> None:
        if Path(path).name == "images" and (place["data"] / "pool").exists():
            for part in sorted((path / "incoming").glob("*.zip"))[:2]:
                part.unlink()
            raise KeyboardInterrupt
        real(path, **options)

    monkeypatch.setattr(downloads.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch_download("images", table, **place)
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", hub.url + PLACE)
    first = there(place)
    real(place["data"] / "pool")
    fetch_download("images", table, **place)
    names = {name for name in there(place) if name.startswith("pool/")}
    assert names == {name for name in first if name.startswith("pool/")}
    assert len(names) == 4


def test_files_of_an_older_commit_are_left_out(hub, place):
    newest = row(revision=None)
    hub.served["train-0000.tar"] = b"x" * len(BIG)
    with pytest.raises(PargoError, match="states at 0123"):
        fetch_download("pool", newest, **place)
    hub.served.clear()
    hub.commit, hub.files = "f" * 40, {"list.json": b"[3]", "train-0000.tar": BIG}  # no train-0001
    fetch_download("pool", newest, **place)
    assert {name for name in there(place) if name.startswith("pool/")} == {"pool/list.json", "pool/train-0000.tar"}


def test_another_mirror_is_no_other_version(place):
    with file_server(Served(BIG)) as server:
        fetch_download("set", files(a={"urls": (server.url,)}), **place)
        fetch_download("set", files(a={"urls": (server.url, "http://mirror/a")}), **place)
        with pytest.raises(PargoError, match="the table of downloads said something else"):
            fetch_download("set", files(b={"urls": (server.url,)}), **place)


def test_archives_that_hold_the_same_are_refused(hub, place):
    hub.files = {name: zipped(**{"same/a.png": b"a"}) for name in ("0.zip", "1.zip")}
    with pytest.raises(PargoError, match=r"same is in 1\.zip and in an archive before it"):
        fetch_download("images", row(files=("*.zip",), unpack="."), **place)
    assert not (place["data"] / "pool").exists()


@pytest.mark.parametrize("fault", ["escape", "link"])
def test_a_malicious_archive_leaves_nothing(place, fault, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("../evil" if fault == "escape" else "evil")
        if fault == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    with file_server(Served(buffer.getvalue())) as server:
        table = files(**{"x.tar": {"urls": (server.url,)}}).model_copy(update={"unpack": "."})
        with pytest.raises(PargoError, match="refused"):
            fetch_download("set", table, **place)
    assert not (place["data"] / "set").exists()
    assert not list(tmp_path.rglob("evil"))


# By hand --------------------------------------------------------------------------------------------------------------


def test_what_only_a_person_fetches(place):
    values = {"kind": "folder", "page": "https://example.org/terms", "folder": "sam", "gate": "agree to the licence"}
    by_hand = Folder.model_validate({**values, "note": "51 archives."})
    with pytest.raises(PargoError) as error:
        fetch_download("sam", by_hand, **place)
    for part in ("data/sam", "https://example.org/terms", "agree to the licence", "51 archives."):
        assert part in str(error.value)
    (place["data"] / "sam").mkdir(parents=True)
    assert fetch_download("sam", by_hand, **place) == place["data"] / "sam"


# The command and the stage --------------------------------------------------------------------------------------------


def mme() -> bytes:
    """A piece of MME as its owners' archive holds it."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "PNG")
    text = b"Is it red? Please answer yes or no.\tYes\nIs it blue? Please answer yes or no.\tNo\n"
    folder = "MME_Benchmark_release_version/MME_Benchmark/OCR"
    return zipped(**{f"{folder}/0001.png": buffer.getvalue(), f"{folder}/0001.txt": text})


def pargo(*arguments: str, hub: Repository, folder: Path, **options) -> subprocess.CompletedProcess:
    own = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hub"), "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | own
    command = [sys.executable, "-P", "-m", "pargo", *arguments]  # not the folder's own `pargo`, which is empty
    make_project(folder)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, **options)


def test_the_command_and_the_stage_fetch_a_row_of_the_table(tmp_path):
    row, paper = version("mme"), ROOT / "config/paper.yaml"
    name = "MME_Benchmark_release_version.zip"
    with hub_server(Repository({name: mme()}, name=row.repository, commit=row.revision)) as server:
        done = pargo("data", "fetch", "mme", "--config", str(paper), hub=server, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("1 rows, 1 not here, about 0.2 GB; ")
        assert done.stdout.endswith("mme: data/mme\n")
        assert (tmp_path / "data" / "mme" / name).read_bytes() == server.files[name]
        shutil.rmtree(tmp_path / "data")
        settings = canonical_json(download(load_config(paper), "mme"))
        stage = ("download", "--settings", settings, "--output", "artifact", "--run-directory", "run")
        done = pargo(*stage, hub=server, folder=tmp_path)  # on its own
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "artifact" / "test" / "OCR").iterdir()) == ["0001.png", "0001.txt"]
    assert not (tmp_path / "run" / "imported").exists()  # what is fetched is known by its version


def test_the_command_names_what_only_a_person_fetches(tmp_path, hub):
    paper = str(ROOT / "config/paper.yaml")
    done = pargo("data", "fetch", "sam_images", "--config", paper, hub=hub, folder=tmp_path)
    assert done.returncode == 1
    assert "ai.meta.com" in done.stderr
    assert "data/images/sam/images" in done.stderr.replace("\n", "")
    done = pargo("data", "fetch", "nothing", "--config", paper, hub=hub, folder=tmp_path)
    assert (done.returncode, "choices: cc12m" in done.stderr) == (2, True)
    done = pargo("data", "fetch", "--config", str(ROOT / "config/quick.yaml"), hub=hub, folder=tmp_path)
    assert (done.returncode, "names no downloads" in done.stdout) == (0, True)


def test_a_row_that_fails_keeps_no_other_waiting(place, capsys):
    by_hand = Folder.model_validate({"kind": "folder", "page": "https://example.org/", "folder": "sam"})
    with file_server(Served(BIG)) as server:
        good, bad = ({"a": {"urls": (server.url,)} | more} for more in ({}, {"sha256": "0" * 64}))
        rows = {"bad": files(**bad), "sam": by_hand, "good": files(**good).model_copy(update={"folder": "good"})}
        with pytest.raises(PargoError) as error:
            fetch_all(rows, *place.values())
    shown = capsys.readouterr().out
    assert shown.startswith("no program fetches sam: get it from https://example.org/")
    assert "bad: failed" in shown
    assert (place["data"] / "good" / "a").read_bytes() == BIG
    assert "1 of 3 rows failed:\n  bad: a: " in str(error.value)
    assert "no program fetches:\n  sam: " in str(error.value)


def test_all_rows_have_to_fit_together(place, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**8))
    rows = {name: files(a={"urls": ("http://127.0.0.1:9/a",), "size": 60_000_000}) for name in ("one", "two")}
    rows = {name: row.model_copy(update={"folder": name}) for name, row in rows.items()}
    with pytest.raises(PargoError, match=r"0\.12 GB are needed, 0\.10 GB are free"):
        fetch_all(rows, *place.values())


def test_every_kind_of_download_has_a_fetcher():
    assert set(fetchers.FETCHERS) | {Folder} == set(get_args(get_args(AnyDownload)[0]))
