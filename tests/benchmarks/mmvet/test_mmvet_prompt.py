"""How questions are asked, and how a judge is: exact texts."""

import typing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pargo.benchmarks.mmvet.judge_prompt import PROMPT, PROMPT_VERSION, Prompt, parse_grade, read_prompt
from pargo.benchmarks.mmvet.prompt import PRESETS
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.mmvet import MMVet
from pargo.errors import PargoError
from pargo.files import sha256_text
from tests.helpers.tiny_tokenizers import family, spell

QUESTION = Question(id="v1_0", task="ocr", image="a.png", question="What is x in the equation?", label="-1<AND>-5<OR>5")
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: "
)


def as_text(ids):
    """The two texts around the image begin with sentencepiece's space, which is no part of them."""
    return spell(family("llama2"), ids).replace("<s> ", "<s>").replace("[image] ", "[image]")


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("official", f"<s>{VICUNA}[image]\nWhat is x in the equation? ASSISTANT:", 1024),
        ("llava", f"<s>{VICUNA}[image]\nWhat is x in the equation? ASSISTANT:", 1024),
        ("compact", "[image]\nWhat is x in the equation?", 1024),
    ],
)
def test_presets(name, text, tokens):
    preset = PRESETS[name]
    assert as_text(preset.encode(family("llama2"), QUESTION)) == text
    assert (preset.max_new_tokens, preset.num_beams) == (tokens, 1)


def test_presets_are_those_of_the_config():
    assert set(PRESETS) == set(typing.get_args(MMVet.model_fields["prompt"].annotation))


def test_the_judge_is_asked_for_one_number():
    text = PROMPT.fill(QUESTION, "x = {reference}\n</answer>")
    assert text.endswith(
        "<question>\nWhat is x in the equation?\n</question>\n<reference>\n-1 <AND> -5 <OR> 5\n</reference>\n"
        "<answer>\nx = {reference}\n</answer>\n</answer>\nReply with the number alone."
    )
    assert "{answer}" not in text


def test_a_changed_prompt_has_a_new_version():
    # when this fails, raise PROMPT_VERSION and put the new hash here
    assert (PROMPT_VERSION, sha256_text(PROMPT.text)[:12]) == ("pargo-1", "ab9d04a1b1c4")


def test_a_prompt_of_a_file(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("{answer}|{question}|{reference}|{other}")
    prompt = read_prompt(path)
    assert prompt.fill(QUESTION, "{question}") == "{question}|What is x in the equation?|-1 <AND> -5 <OR> 5|{other}"
    assert prompt.version.startswith("sha256-")
    path.write_text("{answer} {question}")
    with pytest.raises(PargoError, match=r"prompt\.txt: no {reference}"):
        read_prompt(path)
    path.write_bytes(b"\xff")
    with pytest.raises(PargoError, match=r"prompt\.txt: not UTF-8"):
        read_prompt(path)
    with pytest.raises(PargoError, match=r"cannot read .*gone"):
        read_prompt(tmp_path / "gone")


@given(st.text(), st.text(), st.text())
def test_what_is_filled_in_stays_as_it_is(question, label, answer):
    filled = Prompt("{question}\x00{reference}\x00{answer}", "").fill(
        QUESTION.model_copy(update={"question": question, "label": label}), answer
    )
    assert filled.startswith(question + "\x00")
    assert filled.endswith("\x00" + answer)


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("0.5", 0.5),
        (" 1.0\n", 1.0),
        ("1", 1.0),
        ("0", 0.0),
        ("0.333", 0.333),
        ("1.1", None),
        ("2", None),
        ("-0.5", None),
        ("0.5 because", None),
        ("grade: 0.5", None),
        ("0.5.", None),
        (".5", None),
        ("0,5", None),
        ("1e-1", None),
        ("nan", None),
        ("NaN", None),
        ("\u0660", None),
        ("0.\u0665", None),
        ("00.5", None),
        ("", None),
        ("1.0 1.0", None),
        ("50%", None),
        ("{}", None),
    ],
)
def test_replies(reply, grade):
    assert parse_grade(reply) == grade


@given(st.text())
@example("0\x1f")  # what `strip` takes for a space and `float` does not
def test_any_reply_is_a_grade_or_nothing(reply):
    grade = parse_grade(reply)
    assert grade is None or (0 <= grade <= 1 and float(reply.strip()) == grade)
