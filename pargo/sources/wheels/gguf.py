"""A wheel with a `.gguf` file: it becomes a transformers directory."""

from pathlib import Path

from pargo.config.sources.wheel import WheelSource
from pargo.sources.importers.gguf import import_gguf


def import_wheel(source: WheelSource, files: Path, directory: Path) -> None:
    import_gguf(files, directory)
