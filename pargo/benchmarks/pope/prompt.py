"""How POPE is asked. The official tool reads an answer up to its first full stop, wherever that is."""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import SHORT_ANSWER, WHOLE_ANSWER, Preset

PRESETS = {
    # the question as the official files have it
    "official": Preset(lambda question: question.question, "compact", max_new_tokens=WHOLE_ANSWER),
    # LLaVA-1.5's evaluation
    "llava": Preset(
        lambda question: f"{question.question}\nAnswer the question using a single word or phrase.",
        "vicuna",
        max_new_tokens=SHORT_ANSWER,
    ),
    # the same words as the official one, for models that learnt short answers
    "compact": Preset(lambda question: question.question, "compact", max_new_tokens=WHOLE_ANSWER),
}
