"""Makes `scenes`: rendered scenes with annotations, as shards."""

from pargo.config.sources.scenes import ScenesSource
from pargo.data.makers import Job
from pargo.data.scene_source import write_scenes


def make(source: ScenesSource, job: Job) -> None:
    write_scenes(job.directory, seed=source.seed, num_images=source.num_images, image_size=source.image_size)
