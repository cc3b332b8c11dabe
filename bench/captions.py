"""`make bench-captions`: captions/s through the engine `openai` against what the server allows.

The server answers after a fixed time and so many requests at once. Beside the stage, which encodes images, keeps
records on disk and reads replies, a plain client sends bodies that are ready and throws replies away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.measure import Ratio
from pargo.captions.build import CaptionSettings, run
from pargo.captions.engines.openai import data_url
from pargo.captions.prompts import PROMPTS
from pargo.captions.samples import Sample, read_image
from pargo.config.captions import Captions
from pargo.config.engines.openai import OpenAIEngine, Picture
from pargo.data.shards import Shards, ShardWriter
from pargo.files import write_atomic
from pargo.machine import hardware
from pargo.manifest import publish
from pargo.remote.threads import in_threads
from pargo.sources.scenes import draw_scene, encode_png, render

OUTPUT = Path("reports/bench")
KEY = "BENCH_KEY"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that the server takes to answer")
    parser.add_argument("--serve", type=Path, help="be the server; its port goes into this file")
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve, arguments.latency, arguments.threads))
        return
    os.environ[KEY] = "none"
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "port"
        command = [sys.executable, "-m", "bench.captions", "--serve", str(port)]
        command += ["--latency", str(arguments.latency), "--threads", str(arguments.threads)]
        server = subprocess.Popen(command)
        try:
            while not port.exists():
                time.sleep(0.05)
            record = bench(Path(folder), f"http://127.0.0.1:{port.read_text()}/v1", arguments)
        finally:
            server.kill()
            server.wait()
    write_atomic(OUTPUT / "captions.json", json.dumps(record, indent=1) + "\n")
    text = (
        f"# Captions by a server\n\n`make bench-captions` on {record['hardware']}: {arguments.images} images of 512 x "
        f"512 pixels a round, {arguments.rounds} rounds in turns; a server that takes {arguments.latency:g} s "
        f"for a reply and {arguments.threads} at a time, so {record['allowed']:.0f} images/s at most.\n\n"
        "| | images/s, median | of what the server allows [95 %] |\n|:---|---:|---:|\n"
        f"| stage `caption`, engine `openai` | {record['stage']:.1f} | {record['stage_share']} |\n"
        f"| plain client, bodies ready, replies thrown away | {record['plain']:.1f} | {record['plain_share']} |\n\n"
        f"Stage / plain client, paired: {record['ratio']} (wanted: at least 0.90 of what the server allows).\n"
    )
    write_atomic(OUTPUT / "captions.md", text)
    Console(soft_wrap=True, highlight=False).print(text)


def _body(url: str) -> str:
    """A request about one image."""
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPTS["scene-1"]}]
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}]})


def bench(folder: Path, url: str, arguments: argparse.Namespace) -> dict:
    ids = [f"{index:06d}" for index in range(arguments.images)]
    with publish(folder / "source", settings={}) as directory, ShardWriter(directory / "train") as writer:
        pictures = [encode_png(render(draw_scene(0, index), 512)) for index in range(20)]
        for index, name in enumerate(ids):
            writer.write(pictures[index % len(pictures)], {"id": name, "conversation": []})
    with publish(folder / "selection", settings={}) as directory:
        pq.write_table(pa.table({"id": ids}), directory / "selected.parquet")
    engine = OpenAIEngine(
        kind="openai", base_url=url, model="m", api_key_environment=KEY, num_threads=arguments.threads
    )
    settings = CaptionSettings(split="train", captions=Captions(engine=engine))
    shards = Shards(folder / "source" / "train")
    bodies = [_body(data_url(read_image(Sample(name, {}, shards)), Picture())) for name in ids]
    stage, plain = [], []
    for number in range(arguments.rounds + 1):
        start = time.perf_counter()
        run(settings, folder / "source", folder / "selection", folder / "out", folder / f"round-{number}" / "runs")
        middle = time.perf_counter()
        with httpx2.Client(timeout=60, limits=httpx2.Limits(max_connections=arguments.threads)) as client:

            def post(body: str, client: httpx2.Client = client) -> int:
                return client.post(f"{url}/chat/completions", content=body).status_code

            codes = list(in_threads(post, bodies, arguments.threads))
        assert set(codes) == {200}
        if number:  # the first round warms up
            stage.append(middle - start)
            plain.append(time.perf_counter() - middle)
    allowed = arguments.threads / arguments.latency
    least = [arguments.images / allowed] * arguments.rounds
    rate = {
        name: arguments.images / sorted(times)[len(times) // 2] for name, times in (("stage", stage), ("plain", plain))
    }
    return {
        "hardware": hardware(),
        "time": time.strftime("%Y-%m-%d"),
        "allowed": allowed,
        **rate,
        "stage_share": str(Ratio.of(least, stage)),
        "plain_share": str(Ratio.of(least, plain)),
        "ratio": str(Ratio.of(plain, stage)),
        "seconds": {"stage": stage, "plain": plain},
    }


async def serve(port: Path, latency: float, capacity: int) -> None:
    """Replies after `latency`, to `capacity` requests at a time."""
    room = asyncio.Semaphore(capacity)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "A picture of something."},
        "finish_reason": "stop",
    }
    body = json.dumps(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(request.partition("content-length:")[2].split()[0]))
                async with room:
                    await asyncio.sleep(latency)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=512)
    write_atomic(port, str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    main()
