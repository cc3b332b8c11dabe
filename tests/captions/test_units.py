"""Words and lengths in every script: characters count where no spaces divide words; Latin words are as they were."""

# ruff: noqa: RUF001 - texts in other scripts
from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pargo.captions.duplicates import simhash, text_hash
from pargo.captions.quality import language, reason_to_drop, repeated_ngrams, repetition, unseen
from pargo.captions.units import length, per_word, words
from pargo.config.quality import Quality

DOG = {
    "en": "A brown dog lies on a grey sofa beside a blue cushion.",
    "zh": "一只棕色的狗躺在灰色的沙发上，旁边有一个蓝色的靠垫。",
    "ja": "茶色の犬がグレーのソファの上で、青いクッションの横に寝そべっています。",
    "ko": "갈색 개가 회색 소파 위 파란 쿠션 옆에 누워 있다.",
    "th": "สุนัขสีน้ำตาลนอนอยู่บนโซฟาสีเทาข้างหมอนอิงสีน้ำเงิน",
    "lo": "ຫມາສີນ້ຳຕານນອນຢູ່ເທິງໂຊຟາສີເທົາ",
    "km": "ឆ្កែពណ៌ត្នោតដេកលើសាឡុងពណ៌ប្រផេះ។",
    "my": "ခွေးညိုတစ်ကောင်သည် မီးခိုးရောင်ဆိုဖာပေါ်တွင် လှဲနေသည်။",
    "hi": "एक भूरा कुत्ता नीले तकिये के पास सोफे पर लेटा है।",
    "ru": "Коричневая собака лежит на сером диване рядом с синей подушкой.",
    "ar": "كلب بني مستلق على أريكة رمادية بجانب وسادة زرقاء.",
    "vi": "Một con chó nâu nằm trên ghế sofa màu xám cạnh gối xanh.",
}


@pytest.mark.parametrize("code", DOG)
def test_one_sentence_has_about_as_many_words_in_each_language(code):
    assert 5 <= length(words(DOG[code])) <= 17
    assert reason_to_drop(DOG[code], Quality(unfinished=True)) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("狗", 1),
        ("红色方块", 2),
        ("红色的方块", 3),
        ("赤い四角", 2),
        ("コーヒー", 2),  # the sign for a long vowel counts
        ("ｺｰﾋｰ", 2),
        ("สวัสดี", 1),  # four letters with their marks
        ("สุนัขสีน้ำตาล", 3),
        ("빨간 사각형", 2),
        ("A sign says 出口.", 4),
        ("iPhone 15在桌子上", 4),
        ("3只狗", 2),
        ("हिन्दी", 1),  # marks divide no word
        ("می\u200cخواهم", 1),
        ("❤️", 0),
    ],
)
def test_how_a_character_counts(text, count):
    assert length(words(text)) == count


LATIN = st.characters(max_codepoint=0x2FF) | st.characters(min_codepoint=0x370, max_codepoint=0x52F)


@given(st.text(LATIN | st.sampled_from("\u2019\u201c\u2026\u2014'- ")))
@example("\u0130stanbul")  # its lower case has a combining dot
@example("\u0438\u0483\u0438")
def test_latin_words_are_those_of_spaces_and_punctuation(text):
    # a combining mark is of the word that it stands in, where `\w` ends the word
    marked = any(unicodedata.category(character).startswith("M") for character in text.lower())
    assert marked or words(text) == re.findall(r"\w+(?:['-]\w+)*", text.lower())
    assert words(text) == words(f"{text} \u2200")  # a sign that is no word, and has the slower way taken
    assert length(words(text)) == len(words(text))
    assert per_word(words(text)) == 1


def test_a_combining_mark_is_of_its_word():
    assert words("\u0130stanbul \u0438\u0483\u0438") == ["i\u0307stanbul", "\u0438\u0483\u0438"]


@given(st.text())
def test_a_length_is_no_more_than_the_units_and_grows_with_the_text(text):
    found = words(text)
    assert (length(found) == 0) == (not found)
    assert len(found) / 4 <= length(found) <= len(found)
    assert length(words(f"{text} 狗")) >= length(found)


@pytest.mark.parametrize("code", ["zh", "ja", "th"])
def test_the_limits_are_the_same_measure(code):
    count = length(words(DOG[code]))
    exact = {"min_words": count, "max_words": count}
    assert reason_to_drop(DOG[code], Quality(**exact)) is None
    assert reason_to_drop(DOG[code], Quality(**exact | {"min_words": count + 1})) == "too_short"
    assert reason_to_drop(DOG[code], Quality(**exact | {"max_words": count - 1})) == "too_long"


def test_repetition():
    assert reason_to_drop("哈哈哈哈哈哈哈", Quality()) == "repetitive"
    assert repetition(DOG["zh"]) < 0.25
    for code in ("zh", "ja", "th"):
        assert reason_to_drop(DOG[code] * 12, Quality()) == "repeated_ngrams"
    assert repeated_ngrams(words("一只狗" * 12)) == 0.0  # 18 words are too short to tell


def test_sentences_of_one_form_are_no_repetition():
    colours, things = (
        "红橙黄绿蓝紫黑白灰粉",
        ("椅子", "桌子", "书包", "帽子", "杯子", "花瓶", "雨伞", "气球", "窗帘", "地毯"),
    )
    text = "".join(f"{place}在第{number}排有{colour}色的{thing}。" for number, (place, colour, thing) in enumerate(
        zip("左右上下前后里外中旁", colours, things, strict=True)))  # fmt: skip
    assert length(words(text)) > 40
    assert reason_to_drop(text, Quality(unfinished=True)) is None


def test_near_and_equal_texts_of_other_scripts():
    def bits(left: str, right: str) -> int:
        pair = [int.from_bytes(simhash(words(text)), "big") for text in (left, right)]
        return (pair[0] ^ pair[1]).bit_count()

    text = "".join(f"{DOG['zh']}墙上挂着第{number}幅画。" for number in "一二三四五六")
    assert bits(text, text.replace("棕色", "黑色", 1)) < 64
    assert bits(DOG["zh"], DOG["ja"]) > 80
    assert text_hash("一只狗，在沙发上。") == text_hash("一只狗在沙发上")
    assert text_hash("一只狗在沙发上") != text_hash("一只猫在沙发上")
    for form in ("NFC", "NFD"):
        assert length(words(unicodedata.normalize(form, DOG["vi"]))) == 13


def test_languages_and_guessing():
    for code in ("zh", "ja", "ko", "th"):
        assert language(DOG[code]) == code
        assert reason_to_drop(DOG[code], Quality(languages=("en",))) == "language"
        assert reason_to_drop(DOG[code], Quality(languages=(code,))) is None
    assert unseen("一只狗 probably 在沙发上") == pytest.approx(1 / 5)
