"""Samples of a pool that are left out: their reasons in words, and when they are too many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pargo.errors import InputError
from pargo.sources.importers.summary import HOPELESS, Reasons, show


def reasons(found: Iterable[Mapping[str, Any]]) -> Reasons:
    """Why samples were left out.

    Args:
        found: what is in some tars, see `pargo.sources.importers.image_tar.Found`.
    """
    counted = Reasons()
    for part in found:
        for row in part["broken"]:
            counted.add(row["reason"], f"{row['key']!r} in {Path(row['tar']).name}")
        if part["passed_over"]:
            kind = "files without a key (webdataset passes them over)"
            counted.add(kind, repr(part["passed_over_example"]), part["passed_over"])
    return counted


def check(found: Sequence[Mapping[str, Any]], where: str, max_broken: float | None = None) -> None:
    """Say what was left out, on the screen or in the error.

    Args:
        where: what the errors call the pool.
        max_broken: share of the samples that may be left out; None while there is more to come.

    Raises:
        InputError: more were left out, or there is none that can be used.
    """
    samples = sum(part["samples"] for part in found)
    broken = sum(len(part["broken"]) for part in found)
    if not samples and (max_broken is not None or broken >= HOPELESS):
        why = "; ".join(reasons(found).lines()) or "the tars are empty"
        raise InputError(f"{where}: no sample in {len(found)} tars can be used. {why}")
    if max_broken is None:
        return
    if broken > max_broken * (samples + broken):
        raise InputError(
            f"{where}: {broken:,} of {samples + broken:,} samples cannot be used; max_broken allows {max_broken:.2%}. "
            f"{'; '.join(reasons(found).lines())}"
        )
    show({"samples": samples, "broken": broken}, reasons(found))
