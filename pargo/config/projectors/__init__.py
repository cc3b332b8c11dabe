"""Projectors: from the patches of an image to the tokens of a language model. One module of settings each, by name."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pargo.config.base import Settings
from pargo.config.implementations import Implementations
from pargo.config.plugins import Kind


class ProjectorSettings(Settings):
    """What is known of every projector, without building it.

    Attributes:
        name: what a config calls it: the name of its module, as a `Literal` field of the class.
        title: its name for readers; by default the name in capitals.
    """

    if TYPE_CHECKING:  # each class has a field of its own, in its own place
        name: str
    title: ClassVar[str] = ""

    @abstractmethod
    def num_image_tokens(self, num_patches: int) -> int:
        """How many tokens stand for an image of so many patches."""

    def check_patches(self, num_patches: int) -> None:
        """Raise InputError, naming the field and the choices, when this cannot be built on so many patches."""

    def as_by_default(self, num_patches: int) -> Self:
        """This projector, without a choice written out that is made anyway for so many patches."""
        return self

    def in_words(self) -> str:
        """Title and what sets these settings apart, e.g. `MLP on 4 patches`."""
        return self.title or self.name.replace("_", " ").capitalize()


PROJECTORS = Kind(
    "pargo.config.projectors",
    ProjectorSettings,  # type: ignore[type-abstract]
    tag="name",
    word="projector",
)
IMPLEMENTATIONS = Implementations(
    PROJECTORS, "pargo.models.projectors", "pargo.models.projectors.base.ProjectorBase", takes=("config", "shape")
)

if TYPE_CHECKING:
    Projector = ProjectorSettings
else:
    Projector = PROJECTORS.chosen  # type of a stage's field


def projector_modules(name: str) -> tuple[str, str]:
    """Modules of one projector that a stage loads by name: its settings and its implementation.

    Raises:
        PargoError: no such projector, or an implementation that is missing or incomplete.
    """
    return IMPLEMENTATIONS.modules(name)


def projector_class(name: str) -> Any:
    """The class of one projector, a subclass of `ProjectorBase`; imports it, and torch.

    Raises:
        PargoError: as of `projector_modules`.
    """
    return IMPLEMENTATIONS.load(name)
