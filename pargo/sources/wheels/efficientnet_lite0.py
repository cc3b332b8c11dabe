"""A wheel with EfficientNet-Lite0: it becomes a vision tower."""

from pathlib import Path

from pargo.config.sources.wheel import WheelSource
from pargo.sources.importers.vision import import_efficientnet_lite0


def import_wheel(source: WheelSource, files: Path, directory: Path) -> None:
    import_efficientnet_lite0(files, directory)
