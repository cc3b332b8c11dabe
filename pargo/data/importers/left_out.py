"""Samples of a pool that are left out: their reasons in words, and when they are too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pargo.errors import InputError

HOPELESS = 1000  # samples at the beginning, none of them usable


def reasons(found: Iterable[Mapping[str, Any]]) -> str:
    """How many samples each reason left out, the most frequent first, each with an example.

    Args:
        found: what is in some tars, see `pargo.data.importers.image_tar.Found`.
    """
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    passed, example = 0, ""
    for part in found:
        for row in part["broken"]:
            counts[row["reason"]] += 1
            examples.setdefault(row["reason"], f"{row['key']!r} in {Path(row['tar']).name}")
        passed += part["passed_over"]
        example = example or part["passed_over_example"]
    lines = [f"{reason}: {count:,}, e.g. {examples[reason]}" for reason, count in counts.most_common()]
    lines += [f"files without a key (webdataset passes them over): {passed:,}, e.g. {example!r}"] if passed else []
    return "; ".join(lines)


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
        why = reasons(found) or "the tars are empty"
        raise InputError(f"{where}: no sample in {len(found)} tars can be used. {why}")
    if max_broken is None:
        return
    if broken > max_broken * (samples + broken):
        raise InputError(
            f"{where}: {broken:,} of {samples + broken:,} samples cannot be used; max_broken allows {max_broken:.2%}. "
            f"{reasons(found)}"
        )
    if why := reasons(found):
        print(f"{samples:,} samples; left out {broken:,}. {why}. All of them are in broken.jsonl", flush=True)
