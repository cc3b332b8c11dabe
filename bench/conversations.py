"""`make bench-conversations`: a million texts to train on: time to open, time of a sample, memory of every worker.

A fresh process opens the texts, and two processes forked from it, like the workers of a training that read ahead, each
take 20,000 samples in the order of the sampler. Against a plain version that holds all texts as objects of Python, as
this project did before. Conversations are read from tar files, captions from one file of JSON lines; both lie in the
page cache. No text is tokenized: that takes as long in both.

USS is the memory that no other process has, PSS also counts the process's share of what several have.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from pargo.data.shards import Shards, ShardWriter
from pargo.data.template import Encoded
from pargo.files import write_atomic
from pargo.machine import hardware
from pargo.progress import track
from pargo.train import texts
from pargo.train.sampler import Sampler

OUTPUT = Path("reports/bench")
WORKERS = 2
LIMIT = 100.0  # MB that a worker may have of its own
FORK = multiprocessing.get_context("fork")


class PlainConversations:
    """All turns in a dict."""

    def __init__(self, directory: Path) -> None:
        shards = Shards(directory)
        turns = {sample_id: shards.record(sample_id)["conversation"] for sample_id in shards.ids}
        self._turns = {sample_id: conversation for sample_id, conversation in turns.items() if conversation}
        self.ids = list(self._turns)

    def encode(self, sample_id: str, epoch: int) -> Any:
        return list(self._turns[sample_id])


class PlainCaptions:
    """All captions in a dict."""

    def __init__(self, directory: Path) -> None:
        with (directory / "captions.jsonl").open(encoding="utf-8") as file:
            self._captions = {row["id"]: row["caption"] for row in map(json.loads, file)}
        self.ids = list(self._captions)

    def encode(self, sample_id: str, epoch: int) -> Any:
        return self._captions[sample_id]


def tokenizer(text: str, **_: Any) -> dict[str, list[int]]:
    """No tokens."""
    return {"input_ids": []}


def open_texts(kind: str, folder: Path) -> Any:
    """The texts in one of four ways."""
    if kind == "conversations":
        return texts.ConversationDataset(folder / "train", tokenizer, name="c", seed=0)
    if kind == "captions":
        return texts.CaptionDataset(folder, tokenizer)
    return {"plain conversations": PlainConversations, "plain captions": PlainCaptions}[kind](
        folder / "train" if kind.endswith("conversations") else folder
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--accesses", type=int, default=20_000, help="samples of each worker")
    parser.add_argument("--folder", type=Path, help="where the texts are, or are written, to be kept")
    parser.add_argument("--open", help="only open these texts, and print what it took")
    arguments = parser.parse_args()
    if arguments.open is not None:
        print(json.dumps(measure(arguments.open, arguments.folder, arguments.accesses)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "captions.jsonl").exists():
            write(folder, arguments.samples)
        for path in folder.rglob("*.*"):  # into the page cache
            with path.open("rb") as file:
                while file.read(1 << 24):
                    pass
        kinds = ["conversations", "plain conversations", "captions", "plain captions"]
        command = [sys.executable, "-m", "bench.conversations", "--folder", str(folder)]
        command += ["--accesses", str(arguments.accesses), "--open"]
        found = {kind: json.loads(subprocess.check_output([*command, kind])) for kind in kinds}
    report(found, arguments.samples, arguments.accesses)


def write(folder: Path, count: int) -> None:
    """Conversations of one to eight turns, about 700 characters, every hundredth empty; captions of 40 to 120 words."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvw", k=draw.randint(2, 9))) for _ in range(5000)]

    def say(low: int, high: int) -> str:
        return " ".join(draw.choices(words, k=draw.randint(low, high)))

    turns, captions = [[say(5, 15) + "?", say(1, 30)] for _ in range(10_000)], [say(40, 120) for _ in range(10_000)]
    with ShardWriter(folder / "train") as writer:
        for number in track(range(count), "Writing conversations"):
            chosen = draw.choices(turns, k=draw.randint(1, 8)) if number % 100 else []
            writer.write(number.to_bytes(8, "little"), {"id": f"mix-{number:09d}", "conversation": chosen})
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for number in track(range(count), "Writing captions"):
            file.write(json.dumps({"id": f"cc3m-{number:09d}", "caption": draw.choice(captions)}) + "\n")


def memory(process: psutil.Process) -> dict[str, float]:
    """In MB."""
    found = process.memory_full_info()
    return {name: getattr(found, name) / 1e6 for name in ("rss", "uss", "pss")}


def measure(kind: str, folder: Path, accesses: int) -> dict[str, Any]:
    """Open and read in this process and two that are forked from it."""
    before = memory(psutil.Process())
    start = time.perf_counter()
    dataset = open_texts(kind, folder)
    opened = time.perf_counter() - start
    sampler = Sampler(0, {"texts": dataset.ids}, {"texts": 1.0})
    ready, done = FORK.Barrier(WORKERS + 1), FORK.Barrier(WORKERS + 1)
    queue = FORK.SimpleQueue()
    workers = [
        FORK.Process(
            target=_work, args=(dataset, sampler, range(number, WORKERS * accesses, WORKERS), queue, ready, done)
        )
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    found = {"seconds_to_open": opened, "before": before, "main": memory(psutil.Process())}
    found["workers"] = [memory(psutil.Process(worker.pid)) for worker in workers]
    done.wait()
    found["sample_ms"] = statistics.median(queue.get() for _ in workers)
    for worker in workers:
        worker.join()
    return found | {"samples": len(dataset.ids)}


def _work(dataset: Any, sampler: Sampler, indices: Sequence[int], queue: Any, ready: Any, done: Any) -> None:
    times = []
    for index in indices:
        start = time.perf_counter()
        draw = sampler.draw(index)
        text: Encoded | Any = dataset.encode(draw.sample_id, draw.epoch)
        times.append(1e3 * (time.perf_counter() - start))
        assert text
    queue.put(statistics.median(times))
    ready.wait()  # all are measured at the same time
    done.wait()


def report(found: dict[str, Any], samples: int, accesses: int) -> None:
    """Write the record and the page."""
    record = {"hardware": hardware(), "time": time.strftime("%Y-%m-%d"), "samples": samples, "accesses": accesses}
    write_atomic(OUTPUT / "conversations.json", json.dumps(record | {"limit": LIMIT} | found, indent=1) + "\n")
    rows = []
    for kind, numbers in found.items():
        worker = {name: max(part[name] for part in numbers["workers"]) for name in ("uss", "pss")}
        rows.append(
            f"| {kind} | {numbers['seconds_to_open']:.1f} | {numbers['sample_ms']:.3f} | "
            f"{numbers['before']['rss']:.0f} | {numbers['main']['rss']:.0f} | {numbers['main']['pss']:.0f} | "
            f"{worker['uss']:.0f} | {worker['pss']:.0f} |\n"
        )
    text = (
        f"# Texts: {samples:,} conversations, {samples:,} captions\n\n"
        f"`make bench-conversations` on {hardware()}, in the page cache. `plain` holds all texts as objects of Python. "
        f"A process opens them; two forked from it each take {accesses:,} samples in the order of the sampler, without "
        "tokenizing; then all three are measured. MB; of workers the larger number.\n\n"
        "| | open, s | a sample, ms (median) | before opening, resident | main process, resident | its share (PSS) | "
        "a worker's own (USS) | a worker's share (PSS) |\n|:---|---:|---:|---:|---:|---:|---:|---:|\n" + "".join(rows)
    )
    write_atomic(OUTPUT / "conversations.md", text)
    Console(soft_wrap=True, highlight=False).print(text)
    for kind in ("conversations", "captions"):
        if max(part["uss"] for part in found[kind]["workers"]) > LIMIT:
            sys.exit(f"a worker has more than {LIMIT:.0f} MB of its own: {kind}")


if __name__ == "__main__":
    main()
