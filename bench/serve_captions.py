"""`make bench-serve-captions`: a hundred images captioned over HTTP by the quick run's model behind `pargo serve`.

It shows that the chain works with a real server and a trained model; the model is small, and so are its captions.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from pargo.captions.build import CaptionSettings, run
from pargo.captions.filter import FilterSettings
from pargo.captions.filter import run as run_filter
from pargo.config.captions import Captions
from pargo.config.engines._model import Sampling
from pargo.config.engines.openai import OpenAIEngine
from pargo.config.quality import Quality
from pargo.data.shards import Shards
from pargo.files import read_json, write_atomic
from pargo.machine import hardware
from pargo.manifest import publish

OUTPUT = Path("reports/bench")
MODEL = Path("artifacts/quick/models/pargo/seed-0/finetune")
SOURCE = Path("artifacts/quick/sources/easy_vqa")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--threads", type=int, default=4)
    arguments = parser.parse_args()
    os.environ["BENCH_KEY"] = "none"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "pargo-quick"
        subprocess.run([sys.executable, "-m", "pargo", "export", MODEL, model, "--compare", "0"], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen([sys.executable, "-m", "pargo", "serve", model, "--port", str(port)])
        try:
            wait(f"http://127.0.0.1:{port}/health")
            record = caption(folder, f"http://127.0.0.1:{port}/v1", model, arguments)
        finally:
            server.terminate()
            server.wait()
    write_atomic(OUTPUT / "serve-captions.json", json.dumps(record, indent=1) + "\n")
    examples = "\n".join(f"- {row['id']}: {row['caption']}" for row in record["examples"])
    text = (
        f"# Captions by a served model\n\n`make bench-serve-captions` on {record['hardware']}: {record['images']} test "
        f"images of easy-VQA through `pargo serve` (transformers' own server) and the engine `openai`, "
        f"{arguments.threads} requests at a time, {record['seconds']:.0f} s: {record['captions']} captions, "
        f"{sum(record['failures'].values())} failures; the filter keeps {record['kept']}, "
        f"drops {record['dropped'] or 'none'}. The model was trained to answer questions and on captions without any "
        f"question, so these texts show the chain, not a captioner.\n\n{examples}\n"
    )
    write_atomic(OUTPUT / "serve-captions.md", text)
    Console(soft_wrap=True, highlight=False).print(text)


def wait(address: str) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        try:
            httpx2.get(address, timeout=2)
        except httpx2.TransportError:
            time.sleep(0.5)
        else:
            return
    sys.exit("the server did not start")


def caption(folder: Path, url: str, model: Path, arguments: argparse.Namespace) -> dict:
    ids = list(Shards(SOURCE / "test").ids[: arguments.images])
    with publish(folder / "selection", settings={}) as directory:
        pq.write_table(pa.table({"id": ids}), directory / "selected.parquet")
    engine = OpenAIEngine(
        kind="openai",
        base_url=url,
        model=str(model),
        api_key_environment="BENCH_KEY",
        num_threads=arguments.threads,
        sampling=Sampling(temperature=0.0, max_tokens=40),
    )
    settings = CaptionSettings(split="test", captions=Captions(engine=engine, max_failures=1.0))
    start = time.perf_counter()
    run(settings, SOURCE, folder / "selection", folder / "raw", folder / "runs")
    seconds = time.perf_counter() - start
    numbers = read_json(folder / "raw" / "statistics.json")
    run_filter(
        FilterSettings(split="test", quality=Quality(min_words=1, max_repetition=1.0)),
        folder / "raw",
        SOURCE,
        folder / "kept",
    )
    kept = read_json(folder / "kept" / "statistics.json")
    lines = (folder / "raw" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "hardware": hardware(),
        "time": time.strftime("%Y-%m-%d"),
        "seconds": seconds,
        **numbers,
        "kept": kept["num_captions"],
        "dropped": {reason: count for reason, count in kept["dropped"].items() if count},
        "examples": [{name: row[name] for name in ("id", "caption")} for row in map(json.loads, lines[:5])],
    }


if __name__ == "__main__":
    main()
