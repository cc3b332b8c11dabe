"""Makes `scenes`: rendered scenes with annotations, as shards."""

from pargo.config.sources.scenes import ScenesSource
from pargo.sources.makers import Job
from pargo.sources.scene_source import write_scenes


def make(source: ScenesSource, job: Job) -> None:
    write_scenes(job.directory, seed=source.seed, num_images=source.num_images, image_size=source.image_size)
