"""What the part `score` of a benchmark's package looks like, and that part loaded by the kind's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from pargo.benchmarks import load
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.score_record import Result


class ScorePart(Protocol):
    """The official rule; the first of `PARSERS`, name -> version, is the official one."""

    PARSERS: dict[str, int]

    def score(self, answers: Sequence[Answered], parser: str, samples: int) -> Result:
        """The benchmark's part of a score record, see `pargo.benchmarks.scores.score`; pure.

        Args:
            answers: in official order.
            parser: one of `PARSERS`.
            samples: bootstrap draws.
        """


def load_score(kind: str) -> ScorePart:
    """The official rule of a benchmark."""
    return cast(ScorePart, load(kind, "score"))
