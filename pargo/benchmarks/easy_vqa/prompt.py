"""How easy-VQA is asked: the bare question, as in fine-tuning."""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import SHORT_ANSWER, Preset

PRESETS = {"compact": Preset(lambda question: question.question, "compact", max_new_tokens=SHORT_ANSWER)}
