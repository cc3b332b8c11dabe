"""How MM-Vet is asked: the bare question; the judge reads whole answers."""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import WHOLE_ANSWER, Preset

PRESETS = {
    # no words of its own around the question, greedy
    "official": Preset(lambda question: question.question, "vicuna", max_new_tokens=WHOLE_ANSWER),
    # LLaVA-1.5's evaluation asks the same way
    "llava": Preset(lambda question: question.question, "vicuna", max_new_tokens=WHOLE_ANSWER),
    # for models that learnt short answers, which end at a newline
    "compact": Preset(lambda question: question.question, "compact", max_new_tokens=WHOLE_ANSWER),
}
