"""easy-VQA's score: the share of answers that match exactly, over all questions and by type of answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from pargo.benchmarks.easy_vqa.answers import ANSWERS, TYPES, normalise
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.make import make_headline, make_task, shares
from pargo.benchmarks.scores.score_parts import Baseline, Task
from pargo.benchmarks.scores.score_record import Result
from pargo.errors import PargoError

PARSERS = {"exact": 1}

Correct = dict[str, dict[str, list[int]]]


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are shares, at most 1."""
    correct = mark(answers)
    values = shares(correct)
    tasks = {name: _task(name, values[name], answers, samples) for name in correct}
    return Result(
        headline=make_headline(values, "pooled", samples, name="accuracy", maximum=1, num_questions=len(answers)),
        tasks=tasks,
        figures={},
        counts={"unparseable": sum(task.unparseable for task in tasks.values())},
        baselines=baselines(answers),
        correct=correct,
        values=values,
    )


def mark(answers: Sequence[Answered]) -> Correct:
    """Which answers are right: `{type of answer: {image: [0 or 1, ...]}}`, in the order of the file.

    Raises:
        PargoError: a type of answer that easy-VQA does not have.
    """
    correct: dict[str, dict[str, list[int]]] = {task: defaultdict(list) for task in TYPES}
    for answer in answers:
        if answer.task not in correct:
            raise PargoError(f"question {answer.id}: task {answer.task!r}; choices: {', '.join(TYPES)}")
        right = normalise(answer.answer) == normalise(answer.label)
        correct[answer.task][answer.image].append(int(right))
    return {task: dict(images) for task, images in correct.items() if images}


def _task(name: str, values: dict[str, list[float]], answers: Sequence[Answered], samples: int) -> Task:
    own = [normalise(answer.answer) for answer in answers if answer.task == name]
    known = ANSWERS.keys() | {normalise(answer.label) for answer in answers}
    unparseable = sum(answer not in known for answer in own)
    return make_task(values, samples, num_questions=len(own), unparseable=unparseable)


def baselines(answers: Sequence[Answered]) -> dict[str, Baseline]:
    """Accuracy without looking: always the most common answer, and the most common answer to each question."""
    overall = Counter(normalise(answer.label) for answer in answers)
    common = min(overall, key=lambda label: (-overall[label], label))

    def by_task(right: Callable[[Sequence[Answered]], int]) -> dict[str, float]:
        parts = {task: [answer for answer in answers if answer.task == task] for task in TYPES}
        return {task: right(own) / len(own) for task, own in parts.items() if own}

    return {
        "majority_answer": Baseline(
            value=overall[common] / len(answers),
            tasks=by_task(lambda own: sum(normalise(answer.label) == common for answer in own)),
            how=f"`{common}`, the most common answer of these questions, to every question",
        ),
        "majority_answer_by_question": Baseline(
            value=_best_by_question(answers) / len(answers),
            tasks=by_task(_best_by_question),
            how="the most common answer of each question text, from these very labels: no model that does not "
            "see the image does better",
        ),
    }


def _best_by_question(answers: Sequence[Answered]) -> int:
    """How many are right where each question text gets its most common answer."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        labels[answer.question][normalise(answer.label)] += 1
    return sum(max(found.values()) for found in labels.values())
