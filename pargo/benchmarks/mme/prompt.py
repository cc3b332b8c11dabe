"""How MME is asked. The questions hold their answer-format sentence, `Please answer yes or no.`"""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import SHORT_ANSWER, Preset
from pargo.data.template import compact_question

PRESETS = {
    # the question as the official files have it
    "official": Preset(lambda question: question.question, "compact", max_new_tokens=SHORT_ANSWER),
    # without the sentence that fine-tuning makes redundant
    "compact": Preset(lambda question: compact_question(question.question), "compact", max_new_tokens=SHORT_ANSWER),
    # as LLaVA-1.5 is asked: its own sentence in place of MME's
    "llava": Preset(
        lambda question: f"{compact_question(question.question)}\nAnswer the question using a single word or phrase.",
        "vicuna",
        max_new_tokens=SHORT_ANSWER,
    ),
    # ParGo's released evaluation: 4 beams, 100 new tokens; its files have the questions without MME's own sentence
    "pargo_release": Preset(
        lambda question: f"{compact_question(question.question)}\nAnswer the question using a single word(Yes or No)",
        "pargo_release",
        max_new_tokens=100,
        num_beams=4,
    ),
}
