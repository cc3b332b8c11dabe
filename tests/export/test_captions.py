"""An exported model makes captions: behind its own server through the engine `openai`, and on this machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pargo.captions.build import CaptionSettings, run
from pargo.config.captions import Captions
from pargo.config.engines._model import Sampling
from pargo.config.engines.openai import OpenAIEngine
from pargo.config.engines.transformers import TransformersEngine
from pargo.data.shards import ShardWriter
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.sources.scenes import draw_scene, encode_png, render

COUNT = 6
SAMPLING = Sampling(temperature=0.0, max_tokens=6)


@pytest.fixture
def source(tmp_path) -> Path:
    with publish(tmp_path / "source", settings={}) as folder, ShardWriter(folder / "train") as writer:
        for index in range(COUNT):
            data = encode_png(render(draw_scene(0, index), 64))
            writer.write(data if index else b"no image", {"id": f"{index}", "conversation": []})
    return tmp_path / "source"


@pytest.fixture
def selection(tmp_path) -> Path:
    with publish(tmp_path / "selection", settings={}) as folder:
        pq.write_table(pa.table({"id": [f"{index}" for index in range(COUNT)]}), folder / "selected.parquet")
    return tmp_path / "selection"


def captioned(engine, source: Path, selection: Path, tmp_path: Path) -> tuple[list[dict], list[dict]]:
    settings = CaptionSettings(split="train", captions=Captions(engine=engine, max_failures=1.0))
    run(settings, source, selection, tmp_path / engine.kind, tmp_path / "runs" / engine.kind)
    files = [tmp_path / engine.kind / name for name in ("captions.jsonl", "failures.jsonl")]
    captions, failures = ([json.loads(line) for line in path.read_text().splitlines()] for path in files)
    return captions, failures


@pytest.fixture
def server(project, tmp_path):
    """`pargo serve` with the exported model; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pargo", "serve", str(project.root / "exported"), "--port", str(port)]
    with (tmp_path / "log").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 90
        while True:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < end, "the server did not start"
            try:
                httpx2.get(f"http://127.0.0.1:{port}/health", timeout=2)
            except httpx2.TransportError:
                time.sleep(0.3)
            else:
                break
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_a_real_server_makes_captions(project, server, source, selection, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_KEY", "none")
    engine = OpenAIEngine(
        kind="openai",
        base_url=server,
        model=str(project.root / "exported"),
        api_key_environment="NO_KEY",
        num_threads=2,
        sampling=SAMPLING,
    )
    captions, failures = captioned(engine, source, selection, tmp_path)
    assert sorted(row["id"] for row in captions + failures) == [f"{index}" for index in range(COUNT)]
    assert failures[0]["reason"].startswith("cannot read image 0")
    assert len(captions) >= COUNT - 2, failures  # a model with random weights may say nothing
    for row in captions:
        assert row["caption"]
        assert row["usage"]["completion_tokens"] <= 7  # this server may count the end
        assert row["sampling"] == {"temperature": 0.0, "top_p": 1.0, "max_tokens": 6}


def test_a_model_of_this_machine_makes_captions(project, source, selection, tmp_path):
    engine = TransformersEngine(
        kind="transformers", directory=str(project.root / "exported"), batch_size=2, sampling=SAMPLING
    )
    captions, failures = captioned(engine, source, selection, tmp_path)
    assert sorted(row["id"] for row in captions + failures) == [f"{index}" for index in range(COUNT)]
    assert captions
    assert {row["model"] for row in captions} == {"exported"}
    assert all(row["usage"]["completion_tokens"] <= 6 for row in captions)
    one = engine.model_copy(update={"batch_size": 1})
    again, _ = captioned(one, source, selection, tmp_path / "one")
    assert [row["caption"] for row in again] == [row["caption"] for row in captions]


def test_no_model(source, selection, tmp_path):
    engine = TransformersEngine(kind="transformers", directory=str(tmp_path))
    with pytest.raises(PargoError, match=r"holds no model \(no config\.json\)"):
        captioned(engine, source, selection, tmp_path)
