"""How lmms-eval 0.7.3 finds the letter of an MMBench answer, before and without a judge. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

LETTERS = "ABCDE"  # it looks for E too, though no question has one
OPTIONS = "ABCD"
MISSING = "nan"  # what its table holds for an option that is none
API_FAILURE = "Failed to obtain answer via API"
# signs around a letter that is one word with them; the first of these that one letter has, counts
_FORMS = [("", end) for end in (".", ",", ":", ")", ").")] + [("(", end) for end in (")", ").")]
_FORMS += [(":", end) for end in ("", ",", ".", ")", ").")]
# what stands before a letter, in small letters; of each the first place counts
_PHRASES = (
    *(f"{start}answer is" for start in ("", "the ", "correct ", "the correct ", "best ", "the best ", "my ")),
    *(f"{start}option is" for start in ("correct ", "the correct ", "best ", "the best ")),
    *(f"{start}choice is" for start in ("", "the ", "correct ", "the correct ", "my ")),
    *(f"i {verb}" for verb in ("choose", "select", "pick")),
    *("옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)


def first_reading(answer: str, options: Mapping[str, str]) -> str:
    """The letter that stands in the answer, or the option whose text does, if there is exactly one; else nothing."""
    return _by_letter(answer) or _by_text(answer.lower(), options)


def _by_letter(answer: str) -> str:
    if API_FAILURE in answer:
        return ""
    words = answer.split()
    found = [letter for letter in LETTERS if letter in words]
    if len(found) == 1 and not (found == ["A"] and len(words) > 3):  # it may be an article
        return found[0]
    for start, end in _FORMS:
        found = [letter for letter in LETTERS if f"{start}{letter}{end}" in words]
        if len(found) == 1:
            return found[0]
    return ""


def _by_text(answer: str, options: Mapping[str, str]) -> str:
    found = [letter for letter in OPTIONS if options.get(letter, MISSING).lower() in answer]
    return found[0] if len(found) == 1 else ""


def static_reading(answer: str) -> str:
    """The letter of the static task where `first_reading` has none: by rank of the form, then the last place."""
    text = answer.strip()
    for sign in ",.!?;:'\"":
        text = text.strip(sign)
    padded = f" {text} "
    found = list(_places(padded)) or [(0, padded.rfind(letter), letter) for letter in OPTIONS if letter in padded]
    # of equal ones the first letter; a place belongs to one letter, but for an answer that begins or ends with it
    return max(found, key=lambda item: item[:2])[2] if found else ""


def _places(text: str) -> Iterator[tuple[int, int, str]]:
    """(rank of the form, place, letter), letters in order within a form."""
    for rank, form in ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} ")):
        for letter in OPTIONS:
            if (place := text.rfind(form.format(letter))) != -1:
                yield rank, place, letter
    small = text.lower()
    for phrase in _PHRASES:
        if (start := small.find(phrase)) != -1:
            for letter in OPTIONS:
                if (place := text.find(letter, start + len(phrase))) != -1:
                    yield 7, place, letter
    bare = text.strip()
    if bare[:1] and bare[0] in OPTIONS and not bare[1:2].isalpha():
        yield 10, 0, bare[0]
    if bare[-1:] and bare[-1] in OPTIONS and not bare[-2:-1].isalpha():
        yield 9, len(text) - 1, bare[-1]
