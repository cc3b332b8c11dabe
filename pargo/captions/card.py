"""Statistics of a caption set, and the dataset card that shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pargo.captions.quality import RULES, words

# Words that speak of a kind of detail; `text` words announce what is written in the image.
VOCABULARY = {
    "position": """top bottom left right center centre middle above below under over beside behind front upper lower
        corner background foreground near next""",
    "color": """red blue green yellow black white gray grey brown teal orange purple pink cyan magenta dark light""",
    "count": """one two three four five six seven eight nine ten several many pair both single""",
    "text": """word words text letter letters sign says reads written caption title""",
}
DETAILS = {kind: frozenset(text.split()) for kind, text in VOCABULARY.items()}


def statistics(captions: Sequence[str], dropped: Mapping[str, int]) -> dict[str, Any]:
    """Numbers of a caption set.

    Args:
        captions: the kept captions.
        dropped: how many were dropped by each rule.

    Returns:
        `num_images`, `num_captions`, `num_distinct`, `dropped` (every rule, zeros included), `words` (least, 5th
        percentile, median, mean, 95th percentile, most, and the histogram of words per caption) and `details`:
        mean number of words on each kind of detail per caption.
    """
    split = [words(caption) for caption in captions]
    lengths = sorted(len(found) for found in split)
    return {
        "num_images": len(captions) + sum(dropped.values()),
        "num_captions": len(captions),
        "num_distinct": len(set(captions)),
        "dropped": {rule: dropped.get(rule, 0) for rule in RULES},
        "words": {
            "min": _quantile(lengths, 0.0),
            "p5": _quantile(lengths, 0.05),
            "median": _quantile(lengths, 0.5),
            "mean": round(fmean(lengths), 3) if lengths else None,
            "p95": _quantile(lengths, 0.95),
            "max": _quantile(lengths, 1.0),
            "histogram": {str(length): count for length, count in sorted(Counter(lengths).items())},
        },
        "details": {
            kind: round(fmean(sum(word in vocabulary for word in found) for found in split), 3) if split else None
            for kind, vocabulary in DETAILS.items()
        },
    }


def _quantile(ordered: Sequence[int], fraction: float) -> int | None:
    """The smallest value with at least this fraction of all values at or below it."""
    if not ordered:
        return None
    return ordered[max(0, -int(-fraction * len(ordered) // 1) - 1)]


def card(numbers: Mapping[str, Any], *, source: str, split: str, engine: str, examples: Sequence[str]) -> str:
    """The dataset card, Markdown, from `statistics`."""
    lengths = numbers["words"]
    lines = [
        f"# Captions of {source}, split {split}",
        "",
        f"Made by the `{engine}` engine from {numbers['num_images']:,} images; {numbers['num_captions']:,} captions "
        f"kept, {numbers['num_distinct']:,} of them different. `captions.jsonl` holds `id` and `caption`; "
        "`dropped.jsonl` holds what the filter dropped and why; `statistics.json` holds the numbers below.",
        "",
        "| dropped because | captions |",
        "|---|---:|",
        *(f"| {rule.replace('_', ' ')} | {count:,} |" for rule, count in numbers["dropped"].items()),
        "",
        "| words per caption | |",
        "|---|---:|",
        *(f"| {key} | {_text(lengths[key])} |" for key in ("min", "p5", "median", "mean", "p95", "max")),
        "",
        "| words per caption on | mean |",
        "|---|---:|",
        *(f"| {kind} | {_text(mean)} |" for kind, mean in numbers["details"].items()),
        "",
        "## Examples",
        "",
        *(f"- {example}" for example in examples),
        "",
        "## Length distribution",
        "",
        "| words | captions |",
        "|---:|---:|",
        *(f"| {length} | {count:,} |" for length, count in lengths["histogram"].items()),
        "",
    ]
    return "\n".join(lines)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
