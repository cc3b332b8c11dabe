"""Caption engines: from samples to captions. Add one by a module with a class `Engine`, a line here, and its settings in
`pargo.config.captions`.

They are loaded by name, so that a change of one reruns the captions of that one alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pargo.config import captions as config

if TYPE_CHECKING:
    from pargo.captions.samples import Engine

MODULES = {kind: f"pargo.captions.engines.{kind}" for kind in ("annotations", "conversation", "openai", "transformers")}


def make_engine(settings: config.Engine) -> Engine:
    """The engine that a config asks for; models and clients are loaded here.

    Raises:
        PargoError: a key or a model is not there.
    """
    return importlib.import_module(MODULES[settings.kind]).Engine(settings)


def caption_modules(kind: str) -> tuple[str, str]:
    """Modules whose source decides what the captions of an engine are."""
    return "pargo.captions.build", MODULES[kind]
