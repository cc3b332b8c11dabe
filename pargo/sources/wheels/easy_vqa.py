"""The wheel `easy-vqa`: its images and questions become shards."""

from pathlib import Path

from pargo.config.sources.wheel import WheelSource
from pargo.sources.importers.easy_vqa import import_easy_vqa


def import_wheel(source: WheelSource, files: Path, directory: Path) -> None:
    import_easy_vqa(files, directory, source.max_images)
