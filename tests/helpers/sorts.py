"""A base class of plug-ins' settings, for packages of them that tests write."""

from __future__ import annotations

from pargo.config.base import Settings


class Sort(Settings):
    """What all plug-ins of these packages have."""

    kind: str
