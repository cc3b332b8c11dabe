"""What makes a source, a module a kind: from its settings to the form that later stages read.

Each module has a function `make`, see `Maker`, and is imported only by the job that makes such a source.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from pargo.config.sources import maker
from pargo.fetch.table import Wheel


@dataclass(frozen=True)
class Job:
    """What a maker needs to know beside the settings of its source.

    Attributes:
        name: of the source in the config.
        directory: empty folder that the source is written to.
        run_directory: what a job that was killed left for the next one; None where nothing is kept.
        pin: a wheel's row of the table of downloads.
        cache: folder of verified wheels.
    """

    name: str
    directory: Path
    run_directory: Path | None
    pin: Wheel | None
    cache: Path


class Maker(Protocol):
    """A module of this package."""

    def make(self, source: Any, job: Job) -> None:
        """Write the source into `job.directory`.

        Args:
            source: settings of the maker's own kind.
            job: see the class.

        Raises:
            PargoError: files that are missing or broken; names which, and where.
        """


def load_maker(kind: str) -> Maker:
    """What makes sources of a kind."""
    return cast(Maker, importlib.import_module(maker(kind)))
