"""Numbers of a caption set, counted one caption at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pargo.captions.duplicates import text_hash
from pargo.captions.quality import ALL_RULES
from pargo.captions.units import length, words

# Words that speak of a kind of detail; `text` words announce what is written in the image.
VOCABULARY = {
    "position": """top bottom left right center centre middle above below under over beside behind front upper lower
        corner background foreground near next""",
    "color": """red blue green yellow black white gray grey brown teal orange purple pink cyan magenta dark light""",
    "count": """one two three four five six seven eight nine ten several many pair both single""",
    "text": """word words text letter letters sign says reads written caption title""",
}
DETAILS = {kind: frozenset(text.split()) for kind, text in VOCABULARY.items()}
SEEN = ("model", "revision", "prompt", "finish_reason", "licence")


class Statistics:
    """Counts of kept and dropped captions."""

    def __init__(self) -> None:
        self._lengths: Counter[int] = Counter()
        self._details: Counter[str] = Counter()
        self._texts: set[bytes] = set()
        self._cut = 0
        self._origins: dict[str, Counter[str]] = {}
        self._seen: dict[str, Counter[str]] = {name: Counter() for name in SEEN}

    def add(self, caption: str, reason: str | None, known: Mapping[str, Any]) -> None:
        """Count one caption.

        Args:
            reason: the rule that dropped it; None when it is kept.
            known: what is known of it and its image: `origin`, `cut` (thoughts were), and the fields of `SEEN`.
        """
        self._cut += bool(known.get("cut"))
        self._origins.setdefault(str(known.get("origin") or ""), Counter())[reason or "kept"] += 1
        for name, counter in self._seen.items():
            if known.get(name) is not None:
                counter[str(known[name])] += 1
        if reason is not None:
            return
        found = words(caption)
        self._lengths[length(found)] += 1
        self._texts.add(text_hash(caption))
        for kind, vocabulary in DETAILS.items():
            self._details[kind] += sum(word in vocabulary for word in found)

    @property
    def kept(self) -> int:
        return self._lengths.total()

    def dropped(self) -> dict[str, int]:
        """Number of dropped captions by rule, zeros included."""
        return _dropped(sum(self._origins.values(), Counter()))

    def result(self, failures: Mapping[str, int]) -> dict[str, Any]:
        """All numbers of the captions counted so far, for `statistics.json`.

        Args:
            failures: images without a caption, by reason.

        Returns:
            `num_images`, `num_captions` (kept), `num_distinct`, `failures`, `dropped` (every rule, zeros included),
            `cut` (captions that went on without their `thoughts`), `origins` (kept and dropped of each), `words`
            (least, 5th percentile, median, mean, 95th percentile, most, and the histogram of words per caption),
            `details` (mean number of words on each kind of detail per caption), and how often each `model`,
            `revision`, `prompt`, `finish_reason` and `licence` comes.
        """
        lengths = sorted(self._lengths.items())
        total = sum(length * count for length, count in lengths)
        dropped = self.dropped()
        return {
            "num_images": self.kept + sum(dropped.values()) + sum(failures.values()),
            "num_captions": self.kept,
            "num_distinct": len(self._texts),
            "failures": dict(failures),
            "dropped": dropped,
            "cut": {"thoughts": self._cut},
            "origins": {
                origin: {"kept": counts["kept"], "dropped": _dropped(counts)}
                for origin, counts in sorted(self._origins.items())
            },
            "words": {
                "min": _quantile(lengths, 0.0),
                "p5": _quantile(lengths, 0.05),
                "median": _quantile(lengths, 0.5),
                "mean": round(total / self.kept, 3) if self.kept else None,
                "p95": _quantile(lengths, 0.95),
                "max": _quantile(lengths, 1.0),
                "histogram": {str(length): count for length, count in lengths},
            },
            "details": {kind: round(self._details[kind] / self.kept, 3) if self.kept else None for kind in DETAILS},
            **{name: dict(sorted(counter.items())) for name, counter in self._seen.items()},
        }


def _dropped(counts: Mapping[str, int]) -> dict[str, int]:
    return {rule: counts.get(rule, 0) for rule in ALL_RULES}


def _quantile(histogram: Sequence[tuple[int, int]], fraction: float) -> int | None:
    """The smallest value with at least this fraction of all values at or below it."""
    total, below = sum(count for _, count in histogram), 0
    for value, count in histogram:
        below += count
        if below >= fraction * total:
            return value
    return None
