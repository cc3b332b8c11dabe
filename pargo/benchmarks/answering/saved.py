"""Answers saved while a model is still answering, so that a job that was ended goes on where it stopped.

A file is a journal (`pargo.journal`): its first line says what the answers depend on, then comes a line for every
batch, each on disk before the next batch begins. Answers to other questions, of another model, or by other code are set
aside and found again when what they depend on is undone. They stay as long as the run directory does: they are text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pargo.errors import PargoError
from pargo.journal import Line, damaged, open_for, read_journal

Losses = dict[str, tuple[float, int]]


class Answer(NamedTuple):
    """Text, and losses (sum in nats, number of tokens): of options by letter, of facts of the right answer by kind."""

    text: str
    option_losses: Losses = {}  # noqa: RUF012 - never changed
    label_losses: Losses = {}  # noqa: RUF012 - never changed


class Saved(NamedTuple):
    """What a file holds: the spec of its first line, and answers by question id."""

    spec: str
    answers: dict[str, Answer]


class SavedAnswers:
    """Answers by question id, and the file that they are appended to; use as a context manager.

    Args:
        path: of the file; parents are created.
        spec: hash of what the answers depend on; those of another one are set aside.
        others: files that may hold answers of the same spec, as of jobs that shared the questions out otherwise.

    Raises:
        PargoError: another process writes it, it cannot be written, or a line of it is damaged.
    """

    def __init__(self, path: Path, spec: str, others: Sequence[Path] = ()) -> None:
        self._journal, lines = open_for(path, spec, use="answers the same questions", what="answers")
        self._path, self._spec, self._others = path, spec, others
        try:
            self.answers = _answers(lines, path)
        except BaseException:
            self._journal.close()
            raise

    @staticmethod
    def read(path: Path) -> Saved:
        """The answers in a file that no job writes any more.

        Raises:
            PargoError: it cannot be read, is none, or a line of it is damaged.
        """
        lines = read_journal(path)
        header = next(lines, None)
        if header is None or not isinstance(spec := header.row.get("spec"), str):
            raise PargoError(f"{path} does not hold saved answers")
        return Saved(spec, _answers(lines, path))

    def adopt(self, wanted: Collection[str]) -> None:
        """Append those of the wanted answers that the other files have; other processes may be writing these."""
        for other in self._others:
            lines = read_journal(other, growing=True)
            header = next(lines, None)
            if other != self._path and header is not None and header.row.get("spec") == self._spec:
                found = _answers(lines, other).items()
                if new := {name: answer for name, answer in found if name in wanted and name not in self.answers}:
                    self.add(new)

    def add(self, answers: Mapping[str, Answer]) -> None:
        """Append the answers of a batch; they are on disk when this returns."""
        self._journal.append({name: list(answer) for name, answer in answers.items()})
        self.answers.update(answers)

    def __enter__(self) -> SavedAnswers:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()


def _answers(lines: Iterator[Line], path: Path) -> dict[str, Answer]:
    """By question id, of the lines behind the first."""
    answers: dict[str, Answer] = {}
    for line in lines:
        try:
            for name, (text, options, *labels) in line.row.items():
                answers[name] = Answer(text, *map(_pairs, (options, *labels)))
        except (ValueError, TypeError, AttributeError):
            raise damaged(path, line.number, "no answers of a batch") from None
    return answers


def _pairs(losses: Any) -> Losses:
    return {name: (loss, number) for name, (loss, number) in losses.items()}
