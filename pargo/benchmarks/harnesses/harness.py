"""What the figures of every harness need: their form, and ours beside them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.score_record import ScoreRecord

Figures = dict[str, float]
CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")  # of MM-Vet


class Benchmark(NamedTuple):
    """One benchmark in one harness.

    Args:
        figures: what the harness prints for these answers, by its own names and in its own units.
        ours: our figures of a score record under the same names and in the same units, as far as there are any.
        read: what it takes an answer for, to be compared with the label as it stands; None where a judge reads.
        why: why its figures differ from ours, a sentence each.
    """

    figures: Callable[[Sequence[Answered]], Figures]
    ours: Callable[[ScoreRecord], Figures]
    read: Callable[[Answered], str] | None
    why: tuple[str, ...]


def tasks_of(record: ScoreRecord, part: Literal["score", "accuracy"]) -> Figures:
    """Score or accuracy of each task of a graded record, by the name of the task."""
    return {name: value for name, task in record.tasks.items() if (value := getattr(task, part)) is not None}


def splits_of(record: ScoreRecord) -> dict[str, Mapping[str, float]]:
    """POPE's figures of each split."""
    return {split: record.numbers(split) for split in record.tasks}


def pooled(splits: Iterable[Mapping[str, float]]) -> Figures:
    """POPE's figures over several splits together, from our counts in each."""
    counts: Counter[str] = Counter()
    for split in splits:
        counts.update({name: int(split[name]) for name in ("tp", "fp", "tn", "fn")})
    true_yes, false_yes, false_no = counts["tp"], counts["fp"], counts["fn"]
    return {
        "accuracy": (true_yes + counts["tn"]) / counts.total(),
        "precision": true_yes / max(1, true_yes + false_yes),
        "recall": true_yes / max(1, true_yes + false_no),
        "f1": 2 * true_yes / max(1, 2 * true_yes + false_yes + false_no),
        "yes_ratio": (true_yes + false_yes) / counts.total(),
    }


def mme_scores(answers: Iterable[Answered], read: Callable[[Answered], str]) -> Figures:
    """Points of each MME task: 100 for the share of right answers, 100 for that of images with both answers right.

    Args:
        read: yes or no, or another word for an answer that is neither.
    """
    images: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        images[answer.task][answer.image].append(read(answer) == answer.label.lower())
    return {
        task: sum(50 * sum(marks) + 100 * all(marks) for marks in of_task.values()) / len(of_task)
        for task, of_task in images.items()
    }


def precision_recall_f1(right: int, said: int, asked: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of the answer yes, each 0 where it has nothing to count.

    Args:
        right: answers yes to the label yes.
        said: answers yes.
        asked: labels yes, as the harness counts them.
    """
    precision, recall = right / said if said else 0.0, right / asked if asked else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def grade_of(answer: Answered) -> float:
    """A graded answer's grade, 0 to 1; the mean where a judge graded several times."""
    return float(answer.details["grade"])
