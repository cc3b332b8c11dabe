"""A wheel's EfficientNet-Lite0 -> a vision tower; see `pargo.data.importers.vision`."""

from pathlib import Path

from pargo.config.sources.wheel import WheelSource
from pargo.data.importers.vision import import_efficientnet_lite0


def import_wheel(source: WheelSource, files: Path, directory: Path) -> None:
    """As `import_efficientnet_lite0`; a wheel's settings say nothing about a tower."""
    import_efficientnet_lite0(files, directory)
