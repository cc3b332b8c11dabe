"""The layouts in which datasets publish questions and answers -> messages, each with a speaker and what is said.

An entry holds one of

- `conversations`, `messages` or `conversation`: turns with a speaker (`from` or `role`) and a text (`value` or
  `content`) or its parts: LLaVA, ShareGPT, ShareGPT4V, InternVL, Qwen-VL, OpenAI, LLaMA-Factory, ms-swift;
- `conversation` or `texts`: question and answer in one mapping (ShareGPT of ms-swift, the Cauldron);
- `query` and `response` (ms-swift) or `instruction`, `input` and `output` (Alpaca), with a `history` before them;
- `question` with `answer`, or with `answers`, of which the most frequent is taken (VQA);
- `caption` or `text`: what an image shows, with nothing asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pargo.sources.importers.entries import EntryError, short
from pargo.sources.importers.visible import is_visible

HUMAN, GPT, SYSTEM = "human", "gpt", "system"
SPEAKERS = {"human": HUMAN, "user": HUMAN, "gpt": GPT, "assistant": GPT, "system": SYSTEM, "developer": SYSTEM}
SPEAKER, SAID = ("from", "role"), ("value", "content", "text")  # names of a turn's fields
ASKED, ANSWERED = ("human", "user", "question", "query"), ("gpt", "assistant", "answer", "response")
ANSWERS = ("answer", "answers", "multiple_choice_answer")


class Message(NamedTuple):
    """What somebody says.

    Attributes:
        speaker: `HUMAN`, `GPT`, `SYSTEM`, or the layout's own word for another one.
        content: a text or a list of parts, as it is in the file.
        turn: further fields of its turn, which may name an image too.
    """

    speaker: str
    content: Any
    turn: Mapping[str, Any] = {}


def form_of(entry: Mapping[str, Any]) -> str | None:
    """The field that says which layout an entry has; tables hold all fields, with nothing in those of other layouts."""
    there = [name for name in FORMS if name in entry]
    return next((name for name in there if entry[name] is not None), there[0] if there else None)


def messages_of(entry: Mapping[str, Any]) -> list[Message]:
    """What is said in an entry, in order.

    Raises:
        EntryError: another layout.
    """
    form = form_of(entry)
    if form is None:
        raise EntryError(
            "another layout",
            "expected conversations from human and gpt in turn, a question with its answer or a caption",
        )
    return FORMS[form](entry, form)


def _turns(entry: Mapping[str, Any], form: str) -> list[Message]:
    turns = entry[form]
    if not isinstance(turns, list | tuple) or not turns:
        raise _no_turns(turns)
    return [message for turn in turns for message in _turn(turn)]


def _turn(turn: Any) -> Iterator[Message]:
    """The message of a turn, or question and answer of one that holds both."""
    if isinstance(turn, list | tuple) and len(turn) == 2:
        yield Message(HUMAN, turn[0])
        yield Message(GPT, turn[1])
        return
    if not isinstance(turn, dict):
        raise _no_turns(turn)
    if (speaker := _first(turn, SPEAKER)) is not None:
        name = turn[speaker] if isinstance(turn[speaker], str) else short(turn[speaker])
        said = _first(turn, SAID)
        rest = {key: value for key, value in turn.items() if key not in (*SPEAKER, *SAID)}
        yield Message(SPEAKERS.get(name, name), turn[said] if said else None, rest)
        return
    asked, answered = _first(turn, ASKED), _first(turn, ANSWERED)
    if asked is None or answered is None:
        raise _no_turns(turn)
    yield Message(HUMAN, turn[asked], {key: value for key, value in turn.items() if key not in (asked, answered)})
    yield Message(GPT, turn[answered])


def _no_turns(found: Any) -> EntryError:
    return EntryError("another layout", f"expected conversations from human and gpt in turn, got {short(found)}")


def _first(turn: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    there = [name for name in names if name in turn]
    return next((name for name in there if turn[name] is not None), there[0] if there else None)


def _history(entry: Mapping[str, Any]) -> list[Message]:
    return _turns(entry, "history") if entry.get("history") else []


def _query(entry: Mapping[str, Any], form: str) -> list[Message]:
    return [*_history(entry), Message(HUMAN, entry[form]), Message(GPT, entry.get("response"))]


def _instruction(entry: Mapping[str, Any], form: str) -> list[Message]:
    asked = entry[form]
    if isinstance(more := entry.get("input"), str) and isinstance(asked, str) and more:
        asked = f"{asked}\n{more}"
    elif more:
        raise EntryError("no text", f"expected a text as input, got {short(more)}")
    return [*_history(entry), Message(HUMAN, asked), Message(GPT, entry.get("output"))]


def _question(entry: Mapping[str, Any], form: str) -> list[Message]:
    return [Message(HUMAN, entry[form]), Message(GPT, _answer(entry))]


def _answer(entry: Mapping[str, Any]) -> Any:
    name = _first(entry, ANSWERS)
    answers = entry[name] if name else []
    if isinstance(answers, list) and answers:
        answers = [one.get("answer") if isinstance(one, dict) else one for one in answers]
        if all(isinstance(one, str) for one in answers):
            visible = [one for one in answers if is_visible(one)] or answers
            return Counter(visible).most_common(1)[0][0]  # of equally frequent ones, the first
    if isinstance(answers, list):
        raise EntryError("no text", f"expected an answer, or a list of texts as answers, got {short(answers)}")
    return answers


def _caption(entry: Mapping[str, Any], form: str) -> list[Message]:
    return [Message(HUMAN, ""), Message(GPT, entry[form])]


# the first that an entry has is its layout
FORMS: dict[str, Callable[[Mapping[str, Any], str], list[Message]]] = {
    "conversations": _turns,
    "messages": _turns,
    "conversation": _turns,
    "texts": _turns,
    "question": _question,
    "query": _query,
    "instruction": _instruction,
    "caption": _caption,
    "text": _caption,
}
CAPTIONS = ("caption", "text")
# fields of an entry that hold text
TEXTS = {*FORMS, *ANSWERS, "response", "history", "input", "output", "system"}
