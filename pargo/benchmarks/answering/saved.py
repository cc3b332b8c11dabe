"""Answers saved while a model is still answering, so that a job that was ended goes on where it stopped.

A file is a journal (`pargo.journal`): its first line says what the answers depend on, then comes a line for every
batch, each on disk before the next batch begins. Answers to other questions, of another model, or by other code are
thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pargo.errors import PargoError
from pargo.journal import Journal, Line, damaged, read_journal


class Answer(NamedTuple):
    """Text and, when options were ranked, the loss of each: letter -> (sum in nats, number of tokens)."""

    text: str
    option_losses: dict[str, tuple[float, int]]


class Saved(NamedTuple):
    """What a file holds: the spec of its first line, and answers by question id."""

    spec: str
    answers: dict[str, Answer]


class SavedAnswers:
    """Answers by question id, and the file that they are appended to; use as a context manager.

    Args:
        path: of the file; parents are created.
        spec: hash of what the answers depend on; a file with another one starts anew.

    Raises:
        PargoError: another process writes it, it cannot be written, or a line of it below the first is damaged.
    """

    def __init__(self, path: Path, spec: str) -> None:
        self.answers: dict[str, Answer] = {}
        self._journal = Journal(path, use="answers the same questions")
        try:
            lines = self._journal.lines()
            try:
                header = next(lines, None)
            except PargoError:  # nobody can tell what these answers depend on
                header = None
            if header and header.row.get("spec") == spec:
                self.answers = _answers(lines, path)
            else:
                self._journal.clear()
                self._journal.append({"spec": spec})
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
            for name, (text, losses) in line.row.items():
                answers[name] = Answer(text, {letter: (loss, length) for letter, (loss, length) in losses.items()})
        except (ValueError, TypeError, AttributeError):
            raise damaged(path, line.number, "no answers of a batch") from None
    return answers
