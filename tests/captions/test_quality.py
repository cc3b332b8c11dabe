"""The filter's rules: truth tables, and that each caption is kept or dropped for one reason."""

# ruff: noqa: RUF001 - texts in other scripts
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.captions.duplicates import simhash, text_hash
from pargo.captions.quality import (
    ALL_RULES,
    character_run,
    language,
    reason_to_drop,
    repeated_ngrams,
    repetition,
    unseen,
)
from pargo.captions.scorer import sentences
from pargo.captions.units import words
from pargo.config.quality import Quality
from pargo.sources.scenes import draw_scene

LONG = "A brown dog lies on a grey sofa beside a blue cushion, and a woman in a red coat reads a book at the window."
QUICK = "three shapes: red square top left, blue circle bottom right, green star middle left, word cat top right."


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("", "empty"),
        (" ...", "empty"),
        ("one shape", "too_short"),
        ("one red shape", None),
        ("a b c d e", None),
        ("a b c d e f", "too_long"),
        ("red red red blue", "repetitive"),
        ("red red blue green", None),
        ("Red red RED.", "repetitive"),
        ("red red red red red red", "too_long"),
        ("whaaaaaaaaaaat is that", "character_run"),
        ("whaaaaaaaaaat is that", None),
        ("I cannot see it", "refusal"),
    ],
)
def test_short_captions(caption, reason):
    assert reason_to_drop(caption, Quality(max_words=5)) == reason


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't describe this picture.", True),
        ("As an AI language model I have no eyes.", True),
        ("I am unable to view the picture at this time.", True),
        ("The image you provided shows a dog on a sofa.", True),
        ("Please upload the picture again, and then ask.", True),
        ("Sure! A dog lies on a sofa near a window.", True),
        ("No image was provided with this request.", True),
        (LONG, False),
        (QUICK, False),
        ("A sign says: please do not feed the birds.", False),
        ("A man sees a ship that he cannot reach, sorry as he is.", False),
        ("A poster on artificial light provided by the sun.", False),
        ("A robot labelled AI stands in a shop.", False),
    ],
)
def test_refusals(text, refused):
    assert reason_to_drop(text, Quality()) == ("refusal" if refused else None)
    assert reason_to_drop(text, Quality(refusals=False)) is None


def test_what_a_model_could_not_finish():
    assert reason_to_drop(LONG, Quality(), {"finish_reason": "length"}) == "truncated"
    assert reason_to_drop(LONG, Quality(truncated=False), {"finish_reason": "length"}) is None
    assert reason_to_drop(LONG, Quality(), {"finish_reason": "stop"}) is None


@pytest.mark.parametrize(
    "end", [".", "!", "?", "…", '."', ".)", ".”", ". \n", "。", "。」", "！）", "？", "।", "؟", "။", "។"]
)
def test_a_sentence_that_ends(end):
    assert reason_to_drop("A red cat sits on the mat" + end, Quality(unfinished=True)) is None


@pytest.mark.parametrize("end", ["", ",", " and", ". On the left", ':"', "-"])
def test_a_sentence_that_does_not(end):
    assert reason_to_drop("A red cat sits on the mat" + end, Quality(unfinished=True)) == "unfinished"
    assert reason_to_drop("A red cat sits on the mat" + end, Quality()) is None


@pytest.mark.parametrize("caption", ["สุนัขสีน้ำตาลนอนอยู่บนโซฟา", "ຫມາສີນ້ຳຕານນອນຢູ່ເທິງໂຊຟາ"])
def test_thai_and_lao_have_no_sign_for_the_end_of_a_sentence(caption):
    assert reason_to_drop(caption, Quality(unfinished=True)) is None
    assert reason_to_drop(f"{caption},", Quality(unfinished=True)) == "unfinished"


def test_repeated_sequences():
    looped = " ".join(["the dog sits on the wide sofa"] * 8)
    assert reason_to_drop(looped, Quality()) == "repeated_ngrams"
    assert reason_to_drop(looped, Quality(max_repeated_ngrams=None)) is None
    assert repeated_ngrams(words(" ".join(["the dog sits"] * 5))) == 0.0  # too short to tell
    assert repeated_ngrams([str(number) for number in range(60)]) == 0.0


def test_unseen_things():
    guess = "A woman, probably a teacher, seems to be waiting; the smell of coffee suggests that it is morning."
    assert unseen(guess) == pytest.approx(6 / 18)
    assert unseen(LONG) == unseen(QUICK) == 0.0
    assert reason_to_drop(guess, Quality(max_unseen=0.1)) == "unseen"
    assert reason_to_drop(guess, Quality()) is None


def test_languages():
    german = "Ein brauner Hund liegt auf einem grauen Sofa neben einem blauen Kissen, und eine Frau liest am Fenster."
    assert (language(LONG), language(german)) == ("en", "de")
    assert reason_to_drop(german, Quality(languages=("en",))) == "language"
    assert reason_to_drop(german, Quality(languages=("en", "de"))) is None
    assert reason_to_drop(german, Quality()) is None


def test_words_repetition_and_runs():
    assert words("Two shapes: red square, word 'don't' top-left.") == [
        "two",
        "shapes",
        "red",
        "square",
        "word",
        "don't",
        "top-left",
    ]
    assert repetition("a a b b b c") == 0.5
    assert repetition("") == 0.0
    assert (character_run(""), character_run("abc"), character_run("ab\n\n\nc")) == (0, 1, 3)


def test_captions_of_quick_are_kept():
    from pargo.captions.engines.annotations import describe
    from pargo.sources.scene_source import make_record

    for index in range(300):
        assert reason_to_drop(describe(make_record(f"{index}", draw_scene(0, index), [])), Quality()) is None


@given(st.text(), st.builds(Quality))
def test_any_text_has_one_reason_or_none(text, quality):
    assert reason_to_drop(text, quality) in (None, *ALL_RULES)


# Duplicates and sentences ---------------------------------------------------------------------------------------------


def test_case_and_punctuation_make_no_other_text():
    assert text_hash("A dog, on a sofa.") == text_hash(" a DOG on a sofa")
    assert text_hash("a dog on a sofa") != text_hash("a dog on the sofa")


def test_near_texts_share_most_bits():
    def bits(left: str, right: str) -> int:
        pair = [int.from_bytes(simhash(words(text)), "big") for text in (left, right)]
        return (pair[0] ^ pair[1]).bit_count()

    text = " ".join(f"{LONG} Number {number} hangs on the wall." for number in range(4))
    assert bits(text, text.upper()) == 0
    assert bits(text, text.replace("grey sofa", "white sofa", 1)) < 48
    assert bits(LONG, QUICK) > 80
    assert simhash([]) == simhash([""])


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("One. Two! Three? four", ["One.", "Two!", "Three?", "four"]),
        ("Wait... what", ["Wait...", "what"]),
        ("...", ["..."]),
        ("一只狗。它是棕色的！", ["一只狗。", "它是棕色的！"]),
        ("एक कुत्ता। वह भूरा है।", ["एक कुत्ता।", "वह भूरा है।"]),
        ("", [""]),
    ],
)
def test_sentences(caption, expected):
    assert sentences(caption) == expected
