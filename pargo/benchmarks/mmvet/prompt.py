"""How MM-Vet is asked: the bare question; answers are long."""

from __future__ import annotations

from pargo.benchmarks.prompts import Preset

PRESETS = {
    # no words of its own around the question, greedy
    "official": Preset(lambda question: question.question, "vicuna", max_new_tokens=512),
    # LLaVA-1.5's evaluation asks the same way
    "llava": Preset(lambda question: question.question, "vicuna", max_new_tokens=512),
    # for models that learnt short answers, which end at a newline
    "compact": Preset(lambda question: question.question, "compact", max_new_tokens=64),
}
