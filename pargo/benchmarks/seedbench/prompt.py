"""How SEED-Bench is asked."""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import SHORT_ANSWER, Preset, options_block

PRESETS = {
    # as the official evaluation asks before it ranks the options' texts: without the options
    "official": Preset(
        lambda question: f"Question: {question.question}\nAnswer:", "compact", max_new_tokens=SHORT_ANSWER
    ),
    # LLaVA-1.5's evaluation
    "llava": Preset(
        lambda question: (
            f"{question.question}\n{options_block(question)}\n"
            "Answer with the option's letter from the given choices directly."
        ),
        "vicuna",
        max_new_tokens=SHORT_ANSWER,
    ),
    # without fixed sentences
    "compact": Preset(
        lambda question: f"{question.question}\n{options_block(question)}", "compact", max_new_tokens=SHORT_ANSWER
    ),
}
