"""Times and sizes as people read them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in words, e.g. `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"


def size(count: float) -> str:
    """Bytes in words; nothing for none."""
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= one:
            return f"{count / one:,.1f} {unit}"
    return f"{count:.0f} B" if count else ""
