"""Makes `official`: a benchmark from files as its owner lays them out, by the benchmark's own `dataset`."""

from pathlib import Path

from pargo.benchmarks.parts import load_official_files
from pargo.config.sources.official import OfficialSource
from pargo.sources.makers import Job


def make(source: OfficialSource, job: Job) -> None:
    load_official_files(source.benchmark).import_files([Path(path) for path in source.files], job.directory / "test")
