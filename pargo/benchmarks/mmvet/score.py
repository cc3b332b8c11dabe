"""MM-Vet's score: the mean grade over all questions, by capability and by exact set of capabilities."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pargo.benchmarks.mmvet.answers import proxy_grade
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.make import make_headline, make_task, shares
from pargo.benchmarks.scores.score_parts import Headline, Task
from pargo.benchmarks.scores.score_record import Result
from pargo.errors import PargoError

# judge: grades of a judge model; proxy: by words, never beside published numbers
PARSERS = {"judge": 1, "proxy": 1}
DECIMALS = 1  # of the percentages that the official tool prints


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are shares, at most 1.

    Tasks are the exact sets of capabilities, so each question is in one; `figures` has `capability` (mean grade of the
    questions that need it), `integration` (by exact set) and `total` as shares, and what the official tool prints, in
    percent with one decimal: `official_capability` and `official_integration`, each with `total` and `std` (of the
    total, over runs of the judge), and `official_runs`, the total of each run. A question with one capability counts
    once in each table. Several runs of the judge count with their mean.

    `judges` are the models that graded, as far as the grades say: grades of different judges are not compared.

    Answers without any grade give a record whose value and intervals are None.

    Raises:
        PargoError: some answers have a grade and others none, a grade that is not a number from 0 to 1, different
            numbers of runs, or no right answer where the proxy needs one.
    """
    answers = list(answers)
    without = [answer for answer in answers if "grade" not in answer.details]
    if parser == "judge" and len(without) == len(answers):
        return _not_graded(answers)
    if parser == "judge" and without:
        raise PargoError(f"question {without[0].id} has no grade ({len(without)} of {len(answers)}), others have one")
    runs = [_runs(answer, parser) for answer in answers]
    if len({len(grades) for grades in runs}) > 1:
        raise PargoError("questions are graded in different numbers of runs")
    correct: dict[str, dict[str, list[float]]] = {task: {} for task in _by_size(answer.task for answer in answers)}
    pairs = sorted(zip(answers, runs, strict=True), key=lambda pair: pair[0].image)  # stable: the file's order
    for answer, grades in pairs:
        correct[answer.task].setdefault(answer.image, []).append(math.fsum(grades) / len(grades))
    values = shares(correct)
    headline = make_headline(
        values,
        "pooled",
        samples,
        name="proxy score" if parser == "proxy" else "score",
        maximum=1,
        num_questions=len(answers),
    )
    tasks = {
        task: make_task(values[task], samples, num_questions=sum(map(len, images.values())), unparseable=0)
        for task, images in correct.items()
    }
    capability = _capability_means(answers, runs)
    integration = {name: task.known for name, task in tasks.items()}
    return Result(
        headline=headline,
        tasks=tasks,
        figures={
            "capability": capability,
            "integration": integration,
            "total": headline.known,
            **_official(answers, runs),
        },
        counts={"graded": len(answers), "ungraded": 0, "runs": len(runs[0])},
        judges=tuple(sorted(_judges(answers))),
        baselines={},
        correct=correct,
        values=values,
    )


def _not_graded(answers: Sequence[Answered]) -> Result:
    tasks = {}
    for task in _by_size(answer.task for answer in answers):
        own = [answer.image for answer in answers if answer.task == task]
        tasks[task] = Task(
            score=None,
            accuracy=None,
            accuracy_plus=None,
            interval=None,
            num_questions=len(own),
            num_images=len(set(own)),
            unparseable=0,
        )
    return Result(
        headline=Headline(
            name="score",
            rule="pooled",
            maximum=1,
            value=None,
            interval=None,
            num_questions=len(answers),
            num_images=len({answer.image for answer in answers}),
        ),
        tasks=tasks,
        figures={},
        counts={"graded": 0, "ungraded": len(answers), "runs": 0},
        baselines={},
        correct={},
        values={},
    )


def _judges(answers: Sequence[Answered]) -> set[str]:
    return {name for answer in answers for name in answer.details.get("judges", "").split(",") if name}


def capabilities(answer: Answered) -> list[str]:
    """The capabilities that a question needs."""
    if not (names := answer.details.get("capability")):
        raise PargoError(f"question {answer.id} has no `capability` among its details")
    return names.split(",")


def _by_size(names: Iterable[str]) -> list[str]:
    """The names, most common first, as in the official tables; the alphabet decides ties."""
    return [name for name, _ in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))]


def _runs(answer: Answered, parser: str) -> list[float]:
    if parser == "proxy":
        return [proxy_grade(answer.answer, answer)]
    text = answer.details.get("grades") or answer.details["grade"]
    try:
        grades = [float(grade) for grade in text.split(",")]
    except ValueError:
        grades = [math.nan]
    if not all(0 <= grade <= 1 for grade in grades):
        raise PargoError(f"question {answer.id}: grade {text!r:.60}, expected a number from 0 to 1")
    return grades


def _capability_means(answers: Sequence[Answered], runs: Sequence[Sequence[float]]) -> dict[str, float]:
    found: dict[str, list[float]] = {
        name: [] for name in _by_size(name for answer in answers for name in capabilities(answer))
    }
    for answer, grades in zip(answers, runs, strict=True):
        for name in capabilities(answer):
            found[name].append(math.fsum(grades) / len(grades))
    return {name: math.fsum(grades) / len(grades) for name, grades in found.items()}


def _official(answers: Sequence[Answered], runs: Sequence[Sequence[float]]) -> dict[str, dict[str, float]]:
    """What the official tool prints, added up in the file's order and rounded as there: ties hang on it."""
    figures = {}
    total = np.zeros(len(runs[0]))
    tables: dict[str, Callable[[Answered], list[str]]] = {
        "capability": capabilities,
        "integration": lambda answer: [answer.task],
    }
    for table, groups in tables.items():
        sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(runs[0])))
        counts: Counter[str] = Counter()
        for answer, grades in zip(answers, runs, strict=True):
            for name in [*groups(answer), "total"]:
                sums[name] += grades
                counts[name] += 1
        percent = {
            name: sums[name] / counts[name] * 100 for name in sorted(sums, key=lambda name: (-counts[name], name))
        }
        total = percent.pop("total")
        printed = {name: _round(runs_.mean()) for name, runs_ in percent.items()}
        figures[f"official_{table}"] = printed | {"total": _round(total.mean()), "std": _round(total.std())}
    figures["official_runs"] = {str(run): _round(value) for run, value in enumerate(total, start=1)}
    return figures


def _round(value: np.floating[Any]) -> float:
    return float(np.round(value, DECIMALS))
