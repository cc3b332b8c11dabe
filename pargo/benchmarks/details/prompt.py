"""How a caption is asked for: the image alone, as in pretraining."""

from __future__ import annotations

from pargo.benchmarks.answering.prompts import SHORT_ANSWER, Preset

PRESETS = {"caption": Preset(lambda question: question.question, "caption", max_new_tokens=SHORT_ANSWER)}
