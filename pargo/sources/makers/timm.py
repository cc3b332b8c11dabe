"""Makes `timm`: a vision tower from weights that timm publishes."""

from pathlib import Path

from pargo.config.sources.timm import TimmSource
from pargo.sources.importers.vision import import_timm
from pargo.sources.makers import Job


def make(source: TimmSource, job: Job) -> None:
    import_timm(Path(source.weights), source.architecture, source.tag, job.directory)
