"""Makes `mini_mme`: scenes in the official MME folder layout."""

from pargo.config.sources.mini_mme import MiniMMESource
from pargo.sources.makers import Job
from pargo.sources.mini_mme import write_mini_mme


def make(source: MiniMMESource, job: Job) -> None:
    size = source.image_size
    write_mini_mme(job.directory, seed=source.seed, images_per_task=source.images_per_task, image_size=size)
