"""Caption engines: what makes the captions of a dataset. One module of settings each, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, model_serializer

from pargo.config.base import Settings
from pargo.config.implementations import Implementations
from pargo.config.plugins import Kind


class EngineSettings(Settings, hide_input_in_errors=True):
    """What is known of every caption engine, without starting it.

    An engine without fields of its own is written as its bare name.

    Attributes:
        kind: what a config calls it: the name of its module, as a `Literal` field of the class.
        has_model: whether a model is asked. Its captions are kept until its settings, its weights or the image change;
            those of other engines depend on their code and on the whole records of the images.
        how: fields that say how a model is asked, not what: a change of these makes no other captions.
        in_request: fields that count by what is sent for each image, which the engine's `request` gives.
    """

    if TYPE_CHECKING:  # each class has a field of its own, in its own place
        kind: str
    has_model: ClassVar[bool] = False
    how: ClassVar[frozenset[str]] = frozenset()
    in_request: ClassVar[frozenset[str]] = frozenset()

    @property
    def shows_text(self) -> bool:
        """Whether a model is shown the text that came with an image."""
        return False

    @property
    def weights(self) -> Path | None:
        """Directory of the model, where it runs here."""
        return None

    def in_words(self) -> str:
        """What the dataset card says about how a model was asked; nothing by default."""
        return ""

    @model_serializer(mode="wrap")
    def _bare(self, serialize: Any) -> Any:
        return self.kind if set(type(self).model_fields) == {"kind"} else serialize(self)


ENGINES = Kind("pargo.config.engines", EngineSettings, tag="kind", word="caption engine")
IMPLEMENTATIONS = Implementations(
    ENGINES, "pargo.captions.engines", "pargo.captions.samples.CaptionEngine", takes=("settings",)
)


def engine_modules(kind: str) -> tuple[str, str]:
    """Modules of one engine that a stage loads by name: its settings and its implementation.

    Raises:
        PargoError: no such engine, or an implementation that is missing or incomplete.
    """
    return IMPLEMENTATIONS.modules(kind)


def engine_settings(kind: str) -> tuple[str]:
    """Module of one engine's settings, which say in words what it is; errors as of `engine_modules`."""
    return engine_modules(kind)[:1]


def engine_class(kind: str) -> Any:
    """The class of one engine, a subclass of `pargo.captions.samples.CaptionEngine`; imports it.

    Raises:
        PargoError: as of `engine_modules`.
    """
    return IMPLEMENTATIONS.load(kind)


def from_word(value: Any) -> Any:
    """A bare name as a mapping."""
    return {"kind": value} if isinstance(value, str) else value


if TYPE_CHECKING:
    Engine = EngineSettings
else:
    Engine = Annotated[ENGINES.chosen, BeforeValidator(from_word)]  # type of a stage's field
