"""POPE's splits, and what is alike in all of its files."""

from __future__ import annotations

from pargo.benchmarks.formats.rows import Row, shorten
from pargo.errors import PargoError

# in the order in which the paper reports them
SPLITS = ("random", "popular", "adversarial")
SUFFIXES = (".json", ".jsonl")


def split_of(name: str) -> str:
    """The split that a file's name names, e.g. `coco_pope_random.json`; "" when it names none, or several."""
    found = [split for split in SPLITS if split in name.lower()]
    return found[0] if len(found) == 1 else ""


def label_of(row: Row, key: str) -> str:
    """The label of a row: yes or no.

    Raises:
        PargoError: anything else, which the official tool would take for yes.
    """
    label = row.text(key)
    if label not in ("yes", "no"):
        raise PargoError(f"{row.where}: `{key}` is {shorten(label)}, expected yes or no")
    return label
