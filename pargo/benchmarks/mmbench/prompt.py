"""How MMBench is asked: hint, question, options, and a sentence about the answer's format."""

from __future__ import annotations

import re

from pargo.benchmarks.answering.prompts import WHOLE_ANSWER, Preset, options_block
from pargo.benchmarks.records import Question

SELECT = "Please select the correct answer from the options above."
LETTER = "Answer with the option's letter from the given choices directly."
LETTER_CN = "请直接回答选项字母。"
_CHINESE = re.compile("[\u4e00-\u9fff]")


def official(question: Question) -> str:
    """VLMEvalKit's wording for any model, in English also for Chinese questions."""
    parts = [f"Question: {question.question}", "Options:", options_block(question), SELECT]
    return "\n".join([f"Hint: {question.hint}", *parts] if question.hint else parts)


def compact(question: Question) -> str:
    """Hint, question and options, without a sentence about the format."""
    return "\n".join(part for part in (question.hint, question.question, options_block(question)) if part)


def llava(question: Question) -> str:
    """LLaVA-1.5's wording, with its Chinese sentence after what holds Chinese."""
    text = compact(question)
    return f"{text}\n{LETTER_CN if _CHINESE.search(text) else LETTER}"


PRESETS = {
    "official": Preset(official, "compact", max_new_tokens=WHOLE_ANSWER),
    "llava": Preset(llava, "vicuna", max_new_tokens=WHOLE_ANSWER),
    "compact": Preset(compact, "compact", max_new_tokens=WHOLE_ANSWER),
}
