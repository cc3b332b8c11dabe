"""Makes `image_shards`: an index of images in tar files, which stay where they are."""

import tempfile
from pathlib import Path

from pargo.config.sources.image_shards import ImageShardsSource
from pargo.sources.importers.image_shards import import_image_shards
from pargo.sources.makers import Job


def make(source: ImageShardsSource, job: Job) -> None:
    if job.run_directory is not None:  # where a killed import goes on
        import_image_shards(source, job.directory, job.run_directory / "tars")
        return
    with tempfile.TemporaryDirectory(dir=job.directory.parent, prefix=".tars-") as folder:
        import_image_shards(source, job.directory, Path(folder) / "tars")
