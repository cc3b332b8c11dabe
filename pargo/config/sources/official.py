"""What a config can say of a benchmark's official files."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from pargo.config.benchmarks import BENCHMARKS, part
from pargo.config.parts import defined_in
from pargo.config.sources import LocalSource, Paths

IMPORT = "import_files"  # of a benchmark's `dataset`


class OfficialSource(LocalSource):
    """Official files of a benchmark, as its owner or the hub lays them out."""

    splits: ClassVar = ("test",)

    kind: Literal["official"]
    benchmark: str = Field(description="kind of a benchmark that has official files")
    files: Paths = Field(description="files, zips or folders; relative to the project")

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.files

    @property
    def known_images(self) -> int | None:
        size = BENCHMARKS.settings(self.benchmark).size
        return size.images if size else super().known_images

    def modules(self, pin: Any = None) -> tuple[str, ...]:
        return *super().modules(), part(self.benchmark, "dataset")

    @field_validator("benchmark")
    @classmethod
    def _has_official_files(cls, benchmark: str) -> str:
        if benchmark not in BENCHMARKS.names or not _has_import(benchmark):  # others are not looked at
            raise ValueError(f"{benchmark!r} is not valid; choices: {', '.join(official_benchmarks())}")
        return benchmark


def official_benchmarks() -> tuple[str, ...]:
    """Benchmarks that can be imported from files as their owners lay them out."""
    return tuple(name for name in BENCHMARKS.names if _has_import(name))


def _has_import(benchmark: str) -> bool:
    if BENCHMARKS.settings(benchmark).package not in ("", benchmark):
        return False  # the files are another benchmark's
    return IMPORT in (defined_in(part(benchmark, "dataset")) or ())
