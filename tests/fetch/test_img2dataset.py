"""Lists of addresses become pools of images by the real img2dataset, where it is installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pargo.config.sources.image_shards import ImageShardsSource
from pargo.errors import PargoError
from pargo.fetch.folder import fetch_download
from pargo.fetch.table import Img2dataset
from pargo.sources.importers.image_shards import import_image_shards
from tests.helpers.loopback import Handler, serving

SIZES = {"wide": (900, 600), "plain": (300, 240), "tiny": (60, 40)}
ROW = Img2dataset(kind="img2dataset", addresses="index", folder="images", columns=("punsafe",))
needs_tool = pytest.mark.skipif(shutil.which("img2dataset") is None, reason="img2dataset is not installed")


@pytest.fixture
def web():
    """Addresses of images on loopback; all others are not found."""

    class Images(Handler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            buffer = io.BytesIO()
            if name in SIZES:
                Image.new("RGB", SIZES[name], "red").save(buffer, "JPEG")
            self.send_response(200 if name in SIZES else 404)
            self.send_header("Content-Length", str(buffer.tell()))
            self.end_headers()
            self.wfile.write(buffer.getvalue())

    with serving(Images) as url:
        yield url


@pytest.fixture
def addresses(tmp_path, web):
    names = [*SIZES, "gone"]
    table = {"url": [f"{web}/{name}" for name in names], "caption": names, "punsafe": [0.25] * len(names)}
    (tmp_path / "data" / "index").mkdir(parents=True)
    pq.write_table(pa.table(table), tmp_path / "data" / "index" / "part-00000.parquet")
    return tmp_path / "data"


@needs_tool
def test_a_list_becomes_a_pool(addresses, tmp_path, capfd):
    folder = fetch_download("pool", ROW, addresses, tmp_path / "lock.json")
    assert "pool: 2 of 4 addresses gave an image" in capfd.readouterr().err
    with tarfile.open(next(folder.glob("*.tar"))) as archive:
        sizes = {}
        for member in archive:
            if member.name.endswith(".jpg"):
                with Image.open(io.BytesIO(archive.extractfile(member).read())) as image:
                    sizes[member.name] = image.size
    assert sorted(sizes.values()) == [(300, 240), (768, 512)]  # never larger than asked, never made larger
    source = ImageShardsSource(kind="image_shards", shards={"web": str(folder)})
    import_image_shards(source, tmp_path / "artifact", tmp_path / "tars")
    counts = json.loads((tmp_path / "artifact" / "counts.json").read_text())
    assert counts["origins"]["web"]["samples"] == 2


@needs_tool
def test_no_image_at_all_is_an_error(addresses, tmp_path, monkeypatch):
    monkeypatch.setitem(SIZES, "wide", (9, 9))
    monkeypatch.setitem(SIZES, "plain", (9, 9))
    with pytest.raises(PargoError, match=r"img2dataset ended with exit code 0 and .* 0 images"):
        fetch_download("pool", ROW, addresses, tmp_path / "lock.json")
    assert not (addresses / "images").exists()


def test_a_killed_fetch_leaves_no_second_tool_beside_the_first(tmp_path):
    """The tool holds the lock of its download as long as it runs."""
    (tmp_path / "data" / "index").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "img2dataset"
    tool.write_text(f"#!/bin/sh\necho started >> {tmp_path}/log\nsleep 2\necho ended >> {tmp_path}/log\n")
    tool.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from pargo.fetch.folder import fetch_download; "
        "from pargo.fetch.table import Img2dataset; "
        "row = Img2dataset(kind='img2dataset', addresses='index', folder='images'); "
        "fetch_download('pool', row, Path(sys.argv[1]), Path('lock'))"
    )
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / "log").exists():
        time.sleep(0.02)
    first.kill()
    first.wait()
    second = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert "pool: another process fetches it; waiting" in second.stderr
    assert (tmp_path / "log").read_text().split() == ["started", "ended"] * 2


def test_without_the_tool_or_the_list(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PargoError, match="pool: needs the tool img2dataset"):
        fetch_download("pool", ROW, tmp_path / "data", tmp_path / "lock.json")
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/true")
    with pytest.raises(PargoError, match=r"no addresses in .*index: fetch them first"):
        fetch_download("pool", ROW, tmp_path / "data", tmp_path / "lock.json")
