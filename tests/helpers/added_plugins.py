"""A benchmark and a kind of source that are added to a copy of the package as CONTRIBUTING says, each with real work.

The benchmark `toy` is POPE under another name: its official files are POPE's. The source `stripes` draws images.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pargo.code import ROOT

TOY_SETTINGS = """
from typing import ClassVar, Literal

from pargo.config.benchmarks import BenchmarkSettings, Size


class Toy(BenchmarkSettings):
    title: ClassVar = "Toy benchmark"
    size: ClassVar = Size(questions=12, images=2, asked_tokens=25, answered_tokens=2)

    kind: Literal["toy"]
    split: Literal["test"] = "test"
    prompt: Literal["official", "llava", "compact"] = "compact"
    parser: Literal["official"] = "official"
"""
STRIPES_SETTINGS = '''
from typing import Literal

from pargo.config.base import Positive
from pargo.config.sources import SourceSettings


class StripesSource(SourceSettings):
    """Images of stripes, each with one question."""

    kind: Literal["stripes"]
    num_images: Positive

    @property
    def known_images(self) -> int:
        return self.num_images
'''
STRIPES_MAKER = """
import io
import random

from PIL import Image

from pargo.config.sources.stripes import StripesSource
from pargo.data.shards import ShardWriter
from pargo.sources.makers import Job


def make(source: StripesSource, job: Job) -> None:
    with ShardWriter(job.directory / "train") as writer:
        for number in range(source.num_images):
            stream = io.BytesIO()
            grey = random.Random(number)  # rows of stripes, so that no image is like another
            image = Image.new("L", (8, 8))
            image.putdata([grey.randrange(256) for _ in range(64)])
            image.resize((64, 64), Image.Resampling.NEAREST).convert("RGB").save(stream, "PNG")
            width = ("one pixel", "two pixels", "three pixels", "four pixels", "five pixels", "six pixels")[number % 6]
            turns = [["How wide is a stripe?", width]]
            text = f"The picture shows black and white stripes side by side, and each of these stripes is {width} wide."
            writer.write(stream.getvalue(), {"id": f"{number:06d}", "conversation": turns, "alt_text": text})
"""


def copy_package(root: Path) -> None:
    """The package in a folder, whose code a process runs that has the folder in PYTHONPATH."""
    shutil.copytree(ROOT / "pargo", root / "pargo", ignore=shutil.ignore_patterns("__pycache__"))


def add_benchmark(root: Path) -> set[str]:
    """Add `toy`; the new files, by path below the folder."""
    folder = root / "pargo/benchmarks/toy"
    shutil.copytree(root / "pargo/benchmarks/pope", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.glob("*.py"):
        text = path.read_text().replace("pargo.benchmarks.pope", "pargo.benchmarks.toy")
        path.write_text(
            text.replace("benchmarks.pope import POPE", "benchmarks.toy import Toy").replace(": POPE", ": Toy")
        )
    _write(root / "pargo/config/benchmarks/toy.py", TOY_SETTINGS)
    return {"pargo/config/benchmarks/toy.py", *(path.relative_to(root).as_posix() for path in folder.glob("*.py"))}


def add_source(root: Path) -> set[str]:
    """Add `stripes`; likewise."""
    files = {"pargo/config/sources/stripes.py": STRIPES_SETTINGS, "pargo/sources/makers/stripes.py": STRIPES_MAKER}
    for name, text in files.items():
        _write(root / name, text)
    return set(files)


def _write(path: Path, text: str) -> None:
    assert not path.exists()
    path.write_text(text.lstrip("\n"))
