"""Which MMBench was asked: split, language and version, as far as its tables say; those of two cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pargo.benchmarks.mmbench.rows import TABLE
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.make import UNKNOWN

# rows and groups of v1.0, in CN as in EN [published]
SIZES = {"dev": (4329, 1164), "test": (6666, 1784)}
_CHINESE = re.compile("[\u4e00-\u9fff]")


def edition(answers: Sequence[Answered], num_groups: int) -> dict[str, str]:
    """`split` (dev, test), `language` (EN, CN) and `version` (1.0, 1.1), each `unknown` where nothing says it.

    The official name of a table says all three, that on the hub split and language. Without a name the column says the
    split; most questions are in Chinese in CN alone, as the benchmark's own server tells them apart; and v1.0 is told
    by its size.
    """
    names = [re.split("[_/]", name.upper()) for name in {answer.details.get(TABLE, "") for answer in answers}]
    split = _all(answer.details.get("split", "") for answer in answers)
    if split == UNKNOWN:
        split = _all(_first(name, ("DEV", "TEST")).lower() for name in names)
    language = _all(_first(name, ("EN", "CN")) for name in names)
    if language == UNKNOWN and 2 * sum(bool(_CHINESE.search(answer.question)) for answer in answers) > len(answers):
        language = "CN"
    version = _all("1.1" if "V11" in name else "1.0" if "MMBENCH" in name else "" for name in names)
    if version == UNKNOWN and SIZES.get(split) == (len(answers), num_groups):
        version = "1.0"
    return {"split": split, "language": language, "version": version}


def _first(words: Sequence[str], choices: Sequence[str]) -> str:
    return next((word for word in words if word in choices), "")


def _all(values: Iterable[str]) -> str:
    """What all say, several with a plus between them; unknown where one says nothing."""
    found = sorted(set(values))
    return "+".join(found) if all(found) else UNKNOWN
