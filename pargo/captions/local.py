"""Models that a config names by their folder: what the stages `caption` and `filter` read beside artifacts."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from pargo.config.base import Settings, canonical_json
from pargo.config.captions import Captions
from pargo.config.quality import Quality
from pargo.config.words import explain_all
from pargo.errors import UsageError


def of_captions(captions: Any) -> tuple[str, ...]:
    """The folder of the model that makes captions, where it runs here.

    Args:
        captions: settings, as an object or as read from JSON.

    Raises:
        UsageError: they are no settings of captions.
    """
    return tuple(path.as_posix() for path in _parse(Captions, "captions", captions).local_files)


def of_quality(quality: Any) -> tuple[str, ...]:
    """The folder of the model that scores captions, if one does; arguments and errors likewise."""
    return tuple(path.as_posix() for path in _parse(Quality, "quality", quality).local_files)


def _parse(kind: type[Settings], name: str, settings: Any) -> Any:
    try:
        return kind.model_validate_json(canonical_json(settings))
    except ValidationError as error:
        raise UsageError(f"{name}: {explain_all(error, kind.model_json_schema())}") from None
