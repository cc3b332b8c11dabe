"""What SEED-Bench's parsers choose: the letter of an answer, or the option of least loss. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from pargo.benchmarks.records import Question
from pargo.errors import PargoError

UNMATCHED = ""
# a capital letter, in brackets or not, that ends the answer or that one of these signs follows
_LETTER = re.compile(r"[(\[{]?([A-D])(?:([.,:;!?)\]}])|$)")


def parse(answer: str, question: Question, parser: str = "letter") -> str:
    """The option that an answer names, or "" when that is not certain. There is no guess and no random choice.

    Surrounding space is ignored; then the first of these that holds:

    1. the answer begins with a capital option letter, in a bracket or not, and ends there, or goes on with one of
       `. , : ; ! ? ) ] }` (`B`, `B.`, `(B)`, `B: a red cat`);
    2. it equals the text of exactly one option;
    3. it is an option letter, space and that option's text (`B a red cat`).

    Equality is to the letter: `b`, `The answer is B`, `Because` and `B-` match nothing. The parsers that rank options
    do not read answers (`rank`); theirs is parsed in the same way.
    """
    text = answer.strip()
    letter = _LETTER.match(text)
    if letter and letter[1] in question.options:
        return letter[1]
    if not text:
        return UNMATCHED
    same = [name for name, option in question.options.items() if option.strip() == text]
    if len(same) == 1:
        return same[0]
    named = question.options.get(text[0])
    if named is not None and text[1:2].isspace() and text[1:].strip() == named.strip():
        return text[0]
    return UNMATCHED


def is_decided(text: str, question: Question) -> bool:
    """True once the answer begins with an option letter and a sign after it: whatever follows, it stays that option."""
    letter = _LETTER.match(text.lstrip())
    return bool(letter and letter[2] and letter[1] in question.options)


def rank(losses: Mapping[str, tuple[float, int]], parser: str, where: str) -> str:
    """The option of least loss; the first of several.

    Args:
        losses: option -> (sum over its tokens, number of tokens).
        parser: `ranking_sum` compares the sums, `ranking_mean` the means over tokens.
        where: begins an error.

    Raises:
        PargoError: no options, a loss that is not finite, or an option without tokens.
    """
    if not losses:
        raise PargoError(f"{where}: no option losses, which parser {parser!r} ranks")
    for letter, (loss, tokens) in losses.items():
        if not math.isfinite(loss) or tokens < 1:
            raise PargoError(f"{where}: option {letter} has loss {loss} over {tokens} token(s)")
    values = {name: loss / (tokens if parser == "ranking_mean" else 1) for name, (loss, tokens) in losses.items()}
    return min(sorted(values), key=values.__getitem__)
