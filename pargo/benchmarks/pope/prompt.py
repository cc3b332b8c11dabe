"""How POPE is asked."""

from __future__ import annotations

from pargo.benchmarks.prompts import Preset

PRESETS = {
    # the question as the official files have it
    "official": Preset(lambda question: question.question, "compact", max_new_tokens=16),
    # LLaVA-1.5's evaluation
    "llava": Preset(
        lambda question: f"{question.question}\nAnswer the question using a single word or phrase.",
        "vicuna",
        max_new_tokens=16,
    ),
    # the same words as the official one, for models that learnt short answers
    "compact": Preset(lambda question: question.question, "compact", max_new_tokens=4),
}
