"""How long answers may be: never cut before what a parser reads; presets named after others have their limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.benchmarks import load
from pargo.benchmarks.mme.answers import PREFIX_LENGTHS, parse_prefix
from pargo.benchmarks.records import Question
from pargo.config.benchmarks import BENCHMARKS

QUESTION = Question(id="0", task="t", image="i", question="?", label="A", options={"A": "red", "B": "a long red box"})
# LLaVA-1.5's scripts: model_vqa_loader for MME, POPE and SEED-Bench, model_vqa_mmbench, model_vqa
LLAVA = {"mme": 128, "mini_mme": 128, "pope": 128, "seedbench": 128, "mmbench": 1024, "mmvet": 1024}


@pytest.mark.parametrize("kind", BENCHMARKS.names)
def test_presets_of_other_evaluations_have_their_limits(kind):
    presets = load(kind, "prompt").PRESETS
    assert presets["llava"].max_new_tokens == LLAVA[kind] if kind in LLAVA else "llava" not in presets
    if "pargo_release" in presets:
        assert presets["pargo_release"].max_new_tokens == 100


def limits(kind: str) -> list[int]:
    """Of the presets that are no other evaluation's."""
    presets = load(kind, "prompt").PRESETS
    return [presets[name].max_new_tokens for name in presets.keys() - {"llava", "pargo_release"}]


@given(st.text(max_size=30) | st.text("yesno \U0001f642", max_size=30))
def test_mmes_parsers_see_the_same_of_an_answer_of_one_token_a_byte(answer):
    answer = answer.strip()
    for limit in limits("mme"):
        cut = answer.encode()[:limit].decode(errors="replace")
        for prefix in PREFIX_LENGTHS.values():
            assert parse_prefix(cut, prefix) == parse_prefix(answer, prefix)


LONG = "of the things in the picture there are some and " * 12


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("pope", LONG + "no one is there. Yes."),
        ("pope", "Well, " + LONG + "it is not."),
        ("mmbench", LONG + "so the answer is B"),
        ("mmbench", LONG + "it is A LONG RED BOX"),
        ("seedbench", "B a long red box"),
        ("seedbench", "a long red box"),
        ("easy_vqa", "rectangle."),
    ],
)
def test_what_decides_may_come_late(kind, answer):
    answers, parser = load(kind, "answers"), next(iter(load(kind, "score").PARSERS))
    whole = answers.parse(answer, QUESTION, parser)
    assert whole != answers.parse(answer[: len(answer) // 2], QUESTION, parser)
    for limit in limits(kind):  # a token a letter, and so a hard case
        assert answers.parse(answer[:limit], QUESTION, parser) == whole


def test_a_judge_gets_answers_as_long_as_those_of_llava():
    assert set(limits("mmvet")) == {LLAVA["mmvet"]}
