"""A cut of the language model to some of its layers: whether it can be, and how it is said.

Not in `models.py`, which stages without a language model read too: what changes here makes nothing of theirs anew.
"""

from __future__ import annotations

from itertools import pairwise

from pargo.config.models import Language
from pargo.errors import InputError


def check_order(language: Language) -> None:
    """Raise InputError unless `layers` are in rising order, each once."""
    layers = language.layers or ()
    if any(after <= before for before, after in pairwise(layers)):
        raise InputError(f"language.layers: {list(layers)} are not in rising order, each once")


def check_layers(language: Language, number: int) -> None:
    """Raise InputError unless a model of so many layers can be cut to `layers`."""
    check_order(language)
    if language.layers and language.layers[-1] >= number:
        raise InputError(
            f"language.layers: {language.source} has no layer {language.layers[-1]}; it has {number}, 0 to {number - 1}"
        )


def language_in_words(language: Language) -> str:
    """E.g. `smollm2_135m_instruct`, or `smollm2_135m_instruct (cut to its layers 0-7, 28-29, warmed up on text)`."""
    changes = [f"cut to its layers {_runs(language.layers)}"] if language.layers else []
    changes += ["warmed up on text"] if language.warm_up else []
    return language.source + (f" ({', '.join(changes)})" if changes else "")


def _runs(numbers: tuple[int, ...]) -> str:
    """Rising numbers, runs of them by first and last: `0-7, 28-29`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
