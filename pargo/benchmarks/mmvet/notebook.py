"""MM-Vet's official way of grading, as mm-vet_evaluator.ipynb does it: what is sent, what of a reply counts, and when
the answer gets 0.0. The text that opens its prompt is not ours to copy: the user gives it.
"""

from __future__ import annotations

from pathlib import Path

from pargo.benchmarks.formats.rows import read_text
from pargo.benchmarks.records import Question
from pargo.errors import PargoError
from pargo.files import sha256_text

MAX_TOKENS = 3  # of a reply
# of the replies that the notebook reads, one after the other until one is a grade; after the last it writes 0.0
TEMPERATURES = (0.0, 0.0, 0.5, 1.0, 1.5)
NO_GRADE = 0.0
AGAIN = "\nPredict the correctness of the answer (digit): "  # after the message, from the second time on
VERSION = "notebook"  # in the grades file; with the hash of the text where it is another than the official one
# of the official text (as of acde843, 2025-01-19) without the line break that ends it
_OFFICIAL = "f23108ec5f7a92d29c2e270842bb9cc7423b0504eeafd433894744f88a3fa872"


def read_opening(path: Path) -> tuple[str, str]:
    """The text of the notebook's variable `prompt`, ended by one line break, and the name that grades keep of it.

    Raises:
        PargoError: no such file, not UTF-8, empty, or with fields, which belong to the other way of grading.
    """
    text = read_text(path).replace("\r\n", "\n").strip("\n")
    if not text.strip():
        raise PargoError(f"{path} is empty; expected the text of the notebook's variable `prompt`")
    if "{question}" in text:
        raise PargoError(
            f"{path} has the field {{question}}: the notebook's text has none, and adds a row of its table"
        )
    digest = sha256_text(text)
    return f"{text}\n", VERSION if digest == _OFFICIAL else f"{VERSION}-sha256-{digest}"


def message(opening: str, question: Question, answer: str) -> str:
    """What is sent: the opening, a blank line, and the row of its table that lacks the grade."""
    reference = question.label.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    return f"{opening}\n{question.question} | {reference} | {answer} | "


def first_word(reply: str) -> float | None:
    """The grade: the text before the first space, if Python reads it as a number from 0 to 1; else None.

    So `0.5 | x` and `1.` are grades. The notebook also takes `nan`, which makes its total `nan`: here it is no grade.
    """
    try:
        grade = float(reply.split(" ")[0].strip())
    except ValueError:
        return None
    return grade if 0 <= grade <= 1 else None
