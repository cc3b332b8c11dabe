"""Caption engines: from samples to captions. Add one: a module with a class `Engine`, a line here, and its settings in
`pargo.config.captions`.

They are loaded by name, so that a change of one reruns the captions of that one alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pargo.captions.samples import Engine
    from pargo.config.captions import Captions

MODULES = {kind: f"pargo.captions.engines.{kind}" for kind in ("annotations", "conversation", "openai", "transformers")}


def make_engine(captions: Captions) -> Engine:
    """The engine that a config asks for; models and clients are loaded here.

    Raises:
        PargoError: a key or a model is not there.
    """
    return importlib.import_module(MODULES[captions.engine_kind]).Engine(captions.engine)


def caption_modules(kind: str) -> tuple[str, str]:
    """Modules whose source decides what the captions of an engine are."""
    return "pargo.captions.build", MODULES[kind]
