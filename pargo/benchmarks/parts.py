"""What the parts of a benchmark's package look like to those that call them, and each part loaded by the kind's name.

A part is a module. `pargo.config.benchmarks.PARTS` names the same functions, and a config is refused where one is
missing; a test has mypy compare every benchmark's modules with these protocols; `prompt` is in
`answering/prompts.py`, `score` in `scores/rule.py`: a change of scores must not make the models answer again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from pargo.benchmarks import load
from pargo.benchmarks.records import Answered, Prediction, Question

IsDecided = Callable[[str, Question], bool]


class AnswersPart(Protocol):
    """What a raw answer is taken for. It may also have `is_decided`, see there."""

    def parse(self, answer: str, question: Question, parser: str) -> str:
        """The answer as it is compared, by the parser of this name; pure."""


class RankingPart(AnswersPart, Protocol):
    """Answers of a benchmark that has a parser `ranking...`; its settings class says so in `needs`."""

    def rank(self, losses: dict[str, tuple[float, int]], parser: str, where: str) -> str:
        """The option that is chosen.

        Args:
            losses: letter -> (sum over the option's tokens of their cross entropy in nats, number of tokens).
            parser: its name.
            where: for messages.
        """


class LabelLossesPart(AnswersPart, Protocol):
    """Answers of a benchmark that asks for losses of right answers; its settings class says so in `needs`."""

    def label_spans(self, question: Question) -> list[tuple[str, int, int]]:
        """Where facts stand in the right answer: kind, and the characters from (with the space before) and to."""


class DatasetPart(Protocol):
    """From official files to questions. It may also have `import_files`, which a source of kind `official` calls."""

    def read_questions(self, source: Path, benchmark: Any) -> list[Question]:
        """The questions of a source's split, in official order.

        Args:
            source: directory of an imported source.
            benchmark: settings of the benchmark's own kind.
        """


class OfficialFilesPart(DatasetPart, Protocol):
    """Dataset of a benchmark whose owner gives out files."""

    def import_files(self, paths: Sequence[Path], directory: Path) -> None:
        """Fill `directory`, one split's folder, from official files, folders or zips."""


class ResultsPart(Protocol):
    """Official result files."""

    def write(self, predictions: Iterable[Prediction], directory: Path) -> None:
        """Write them below `directory`; nothing where the benchmark has no format."""

    def read(
        self, inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None
    ) -> list[Answered]:
        """The answers that files hold, in official order.

        Args:
            inputs: files or folders.
            parser: name of the parser that will read the answers.
            partial: accept a part of the benchmark.
            notes: gets sentences on what was taken of files that do not say all that they might.
        """


class GradedResultsPart(ResultsPart, Protocol):
    """Results of a benchmark with a judge; its settings class says so in `needs`."""

    def add_grades(self, answers: Sequence[Answered], path: Path) -> list[Answered]:
        """The answers with the grades of a file in their `details`."""


class WholeResultsPart(ResultsPart, Protocol):
    """Results of a benchmark whose settings class has `whole`."""

    def check_complete(self, answers: Iterable[Answered], where: str) -> None:
        """Raise PargoError unless the whole benchmark was asked."""


def load_answers(kind: str) -> AnswersPart:
    """What reads the answers to a benchmark."""
    return cast(AnswersPart, load(kind, "answers"))


def load_ranking(kind: str) -> RankingPart:
    """What reads the losses of options, for a benchmark that ranks them."""
    return cast(RankingPart, load(kind, "answers"))


def load_label_losses(kind: str) -> LabelLossesPart:
    """What says where facts stand in the right answers."""
    return cast(LabelLossesPart, load(kind, "answers"))


def is_decided(kind: str) -> IsDecided | None:
    """Whether the beginning of an answer settles what every parser makes of it; None where it never does."""
    return getattr(load(kind, "answers"), "is_decided", None)


def load_dataset(kind: str) -> DatasetPart:
    """What reads the questions of a benchmark."""
    return cast(DatasetPart, load(kind, "dataset"))


def load_official_files(kind: str) -> OfficialFilesPart:
    """What imports the official files of a benchmark that has them."""
    return cast(OfficialFilesPart, load(kind, "dataset"))


def load_results(kind: str) -> ResultsPart:
    """What writes and reads the official result files of a benchmark."""
    return cast(ResultsPart, load(kind, "results"))


def load_graded_results(kind: str) -> GradedResultsPart:
    """The results of a benchmark with a judge."""
    return cast(GradedResultsPart, load(kind, "results"))


def load_whole_results(kind: str) -> WholeResultsPart:
    """The results of a benchmark that is scored as a whole."""
    return cast(WholeResultsPart, load(kind, "results"))
