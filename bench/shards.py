"""`make bench-shards`: a million samples in tar files: time to open, time of a random access, memory.

Small JPEG files are written with `ShardWriter`, a thousand to a tar. A fresh process opens them and reads samples drawn
at random from all tars, each checked against its sha256, from files that the page cache holds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from PIL import Image
from rich.console import Console

from pargo.data.shards import INDEX, Shards, ShardWriter
from pargo.files import write_atomic
from pargo.machine import hardware
from pargo.progress import track

OUTPUT = Path("reports/bench")
LIMITS = {"open_seconds": 1.0, "read_ms_median": 1.0, "memory_mb_peak": 300.0}  # what is wanted of a million samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--accesses", type=int, default=20_000)
    parser.add_argument("--opens", type=int, default=5)
    parser.add_argument("--read", type=Path, help="only read this folder of shards, and print what it took")
    arguments = parser.parse_args()
    if arguments.read is not None:
        print(json.dumps(measure(arguments.read, arguments.accesses)))
        return
    console = Console(soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "train"
        written = write(directory, arguments.samples)
        for path in directory.iterdir():  # into the page cache
            with path.open("rb") as file:
                while file.read(1 << 24):
                    pass
        command = [sys.executable, "-m", "bench.shards", "--read", str(directory)]
        command += ["--accesses", str(arguments.accesses)]
        runs = [json.loads(subprocess.check_output(command)) for _ in range(arguments.opens)]
    found = {name: max(run[name] for run in runs) for name in runs[0]}  # the worst of all processes
    record = {"hardware": hardware(), "time": time.strftime("%Y-%m-%d"), "processes": arguments.opens}
    record |= {"samples": arguments.samples, "accesses": arguments.accesses, **written, **found, "limits": LIMITS}
    write_atomic(OUTPUT / "shards.json", json.dumps(record, indent=1) + "\n")
    rows = [
        ("open the index, s", f"{found['open_seconds']:.2f}", "1"),
        ("read an image, ms: median", f"{found['read_ms_median']:.3f}", "1"),
        ("read an image, ms: 99th percentile", f"{found['read_ms_p99']:.3f}", ""),
        ("read a record, ms: median", f"{found['record_ms_median']:.3f}", "1"),
        ("read a record, ms: 99th percentile", f"{found['record_ms_p99']:.3f}", ""),
        ("find an id, ms: median", f"{found['contains_ms_median']:.3f}", ""),
        ("memory of the process, MB: peak", f"{found['memory_mb_peak']:.0f}", "300"),
        ("of it before opening, MB", f"{found['memory_mb_before']:.0f}", ""),
        ("files open at the end", f"{found['open_files']:.0f}", ""),
    ]
    text = (
        f"# Shards: {arguments.samples:,} samples\n\n"
        f"`make bench-shards` on {hardware()}: {written['shards']} tar files, {written['gigabytes']:.1f} GB, in the "
        f"page cache; {arguments.accesses:,} samples drawn at random, images checked against their sha256. The worst "
        f"of {arguments.opens} processes. Writing took {written['write_seconds']:.0f} s.\n\n"
        "| | measured | wanted, at most |\n|:---|---:|---:|\n"
        + "".join(f"| {name} | {value} | {limit} |\n" for name, value, limit in rows)
    )
    write_atomic(OUTPUT / "shards.md", text)
    console.print(text)
    if over := [name for name, limit in LIMITS.items() if found[name] >= limit]:
        sys.exit(f"over the limit: {', '.join(over)}")


def write(directory: Path, count: int) -> dict[str, float]:
    """Distinct JPEG files of about 2 kB: noise, and their number behind the image."""
    images = []
    for _ in range(100):
        buffer = io.BytesIO()
        Image.effect_noise((56, 56), 60).convert("RGB").save(buffer, "JPEG", quality=80)
        images.append(buffer.getvalue())
    start = time.monotonic()
    with ShardWriter(directory) as writer:
        for number in track(range(count), "Writing shards"):
            record = {"id": f"cc3m-{number // 1000:05d}-{number:09d}", "conversation": [], "origin": "cc3m"}
            record |= {"alt_text": f"a picture of thing number {number} in a place", "width": 56, "height": 56}
            writer.write(images[number % len(images)] + number.to_bytes(8, "little"), record, "jpg")
    seconds = time.monotonic() - start
    tars = [path.stat().st_size for path in directory.glob("*.tar")]
    return {
        "write_seconds": seconds,
        "shards": len(tars),
        "gigabytes": sum(tars) / 1e9,
        "index_mb": (directory / INDEX).stat().st_size / 1e6,
    }


def measure(directory: Path, accesses: int) -> dict[str, float]:
    """Open and read in this process."""
    before = psutil.Process().memory_info().rss / 1e6
    start = time.perf_counter()
    shards = Shards(directory)
    opened = time.perf_counter() - start
    draw = random.Random(os.getpid())
    ids = [shards.ids[draw.randrange(len(shards))] for _ in range(accesses)]
    found: dict[str, float] = {"open_seconds": opened, "memory_mb_before": before}
    for name, run in {"read": shards.read, "record": shards.record, "contains": shards.__contains__}.items():
        found |= _times(name, run, ids)
    memory = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    return found | {"memory_mb_peak": int(memory) / 1e3, "open_files": psutil.Process().num_fds()}


def _times(name: str, run: Callable[[str], object], ids: list[str]) -> dict[str, float]:
    times = []
    for identifier in ids:
        start = time.perf_counter()
        run(identifier)
        times.append(1e3 * (time.perf_counter() - start))
    return {f"{name}_ms_median": statistics.median(times), f"{name}_ms_p99": statistics.quantiles(times, n=100)[98]}


if __name__ == "__main__":
    main()
