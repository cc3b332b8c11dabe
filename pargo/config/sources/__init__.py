"""Sources: everything that is fetched or generated; a module a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, model_validator

from pargo.config.base import Name, Positive, Settings
from pargo.config.parts import check_implementation
from pargo.config.plugins import Kind
from pargo.errors import PargoError


class SourceSettings(Settings):
    """What all sources have in a config.

    Class variables, by kind:
        in_place: an import writes an index of the files where they are, and copies none.
        splits: of its images; empty where the kind does not say.
        annotated: records of its images may hold annotations, as `pargo.data.annotations` reads them.
    """

    in_place: ClassVar[bool] = False
    splits: ClassVar[tuple[str, ...]] = ()
    annotated: ClassVar[bool] = False

    kind: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths whose change imports the source again, whether the run fetches them or somebody put them there."""
        return ()

    @property
    def by_hand(self) -> tuple[str, ...]:
        """Paths that must be there, unless the run fetches them."""
        return self.inputs

    @property
    def draws(self) -> str | None:
        """What its images are drawn from, in words: two sources that say the same share images; None for files."""
        return None

    @property
    def known_images(self) -> int | None:
        """About how many images it has, for `pargo plan`; None where nothing says."""
        return None

    def modules(self, pin: Any = None) -> tuple[str, ...]:
        """Modules of this kind whose source decides what becomes of it.

        Args:
            pin: a wheel's row of the table of downloads.
        """
        return SOURCES.module(self.kind), maker(self.kind)

    @model_validator(mode="after")
    def _has_a_maker(self) -> SourceSettings:
        try:
            check_maker(self.kind)
        except PargoError as error:
            raise ValueError(str(error)) from None
        return self


class Estimate(Settings):
    """What `pargo plan` counts with before the files are there; nothing else reads it."""

    num_images: Positive | None = None
    asked_tokens: Positive | None = Field(None, description="of a conversation, in questions")
    answered_tokens: Positive | None = Field(None, description="of a conversation, in answers")


class LocalSource(SourceSettings):
    """Files that are fetched as the table of downloads says, or that somebody put there."""

    downloads: tuple[Name, ...] = Field(
        (), description="rows of pargo/fetch/downloads.yaml; fetched by the run where their folders are not there"
    )
    estimate: Estimate | None = Field(None, description="about what the files are, for `pargo plan`")

    @property
    def known_images(self) -> int | None:
        return self.estimate.num_images if self.estimate else None


Paths = Annotated[tuple[str, ...], Field(min_length=1)]

SOURCES = Kind("pargo.config.sources", SourceSettings, tag="kind", word="source kind")

if TYPE_CHECKING:
    Source = SourceSettings
else:
    Source = SOURCES.chosen  # the settings of one source, in a stage's settings


def maker(kind: str) -> str:
    """Dotted name of the module that makes a source of this kind."""
    return f"pargo.sources.makers.{kind}"


def check_maker(kind: str) -> None:
    """Raise PargoError unless there is a module that makes sources of this kind."""
    check_implementation(f"source kind {kind!r}", {maker(kind): ("make",)})
