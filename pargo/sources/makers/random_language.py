"""Makes `random_language`: a small language model for tests."""

from pargo.config.sources.random_language import RandomLanguageSource
from pargo.sources.makers import Job
from pargo.sources.random_models import write_random_language


def make(source: RandomLanguageSource, job: Job) -> None:
    write_random_language(job.directory, **source.model_dump(exclude={"kind"}))
