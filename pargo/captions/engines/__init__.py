"""Caption engines: from samples to captions. Each is a module, found by the name of its settings.

A module holds one class that derives from `CaptionEngine` of `pargo.captions.samples`. It is loaded by name, so that a
change of one reruns the captions of that one alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pargo.config.captions import Captions
from pargo.config.engines import EngineSettings, engine_class, engine_modules

if TYPE_CHECKING:
    from pargo.captions.samples import CaptionEngine


def make_engine(captions: Captions) -> CaptionEngine[EngineSettings]:
    """The engine that a config asks for; models and clients are loaded here.

    Raises:
        PargoError: a key, a model or the engine itself is not there.
    """
    make: type[CaptionEngine[EngineSettings]] = engine_class(captions.engine.kind)
    return make(captions.engine)


def caption_modules(kind: str) -> tuple[str, ...]:
    """Modules whose source decides what the captions of an engine are."""
    return "pargo.captions.build", *engine_modules(kind)
