"""Makes `random_vision`: a small tower for tests."""

from pargo.config.sources.random_vision import RandomVisionSource
from pargo.sources.makers import Job
from pargo.sources.random_models import write_random_vision


def make(source: RandomVisionSource, job: Job) -> None:
    write_random_vision(job.directory, seed=source.seed)
