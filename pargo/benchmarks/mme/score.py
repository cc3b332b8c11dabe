"""MME's official score: per task 100 x (accuracy + share of images with both answers right), at most 200; summed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np

from pargo.benchmarks.mme.answers import OTHER, PREFIX_LENGTHS, parse, parse_prefix
from pargo.benchmarks.mme.tasks import GROUPS, TASKS
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.make import make_headline, make_task
from pargo.benchmarks.scores.score_parts import Baseline, Task
from pargo.benchmarks.scores.score_record import Result
from pargo.errors import PargoError
from pargo.statistics import Estimate, Groups, percentile_interval, total

Correct = dict[str, dict[str, list[int]]]
COIN_FLIPS = 20_000
# name -> version; a change of what a parser makes of an answer is a new version
PARSERS = dict.fromkeys(PREFIX_LENGTHS, 1)


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record.

    Raises:
        PargoError: answers that do not pair up by image (`mark`).
    """
    correct = mark(answers, parser)
    values = image_values(correct)
    constant = [answer.model_copy(update={"answer": "yes"}) for answer in answers]
    coin = coin_flip({task: len(images) for task, images in correct.items()})
    return Result(
        headline=make_headline(
            values,
            "sum",
            samples,
            name="total score",
            maximum=200 * len(correct),
            num_questions=len(answers),
        ),
        tasks={task: _task(task, correct, values, answers, parser, samples) for task in correct},
        figures={
            **group_scores(values),
            "parsers": {name: total(image_values(mark(answers, name))) for name in PREFIX_LENGTHS},
        },
        counts={"other": sum(parse(answer.answer, answer, parser) == OTHER for answer in answers)},
        baselines={
            "constant_answer": Baseline(
                value=total(image_values(mark(constant, parser))),
                how="`yes` to every question, scored like a model",
            ),
            "coin_flip": Baseline(
                value=coin.value,
                interval=coin.interval,
                how=f"expected score of fair coins; 95 % of {COIN_FLIPS} simulated runs lie in the interval",
            ),
            **_by_question(answers, parser),
        },
        correct=correct,
        values=values,
    )


def _by_question(answers: Sequence[Answered], parser: str) -> dict[str, Baseline]:
    """The most common answer to each question text of a task; nothing where most texts come once, as MME's own do."""
    labels: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for answer in answers:
        labels[answer.task, answer.question][answer.label.lower()] += 1
    if 2 * len(labels) > len(answers):
        return {}
    common = {text: max(sorted(found), key=found.__getitem__) for text, found in labels.items()}
    same = [answer.model_copy(update={"answer": common[answer.task, answer.question]}) for answer in answers]
    values = image_values(mark(same, parser))
    return {
        "majority_answer_by_question": Baseline(
            value=total(values),
            tasks={task: total({task: images}) for task, images in values.items()},
            how="the most common answer of each question text, from these very labels",
        )
    }


def mark(answers: Sequence[Answered], parser: str) -> Correct:
    """Which answers are right: `{task: {image: [first, second]}}`, 1 for right, in the order of the file.

    Raises:
        PargoError: a task that MME does not have; a label other than yes or no; an image whose two questions do not
            stand side by side, or that has another number of questions. The official tool pairs lines by order alone
            and would go wrong silently.
    """
    prefix = PREFIX_LENGTHS[parser]
    correct: Correct = {}
    for (task, image), group in groupby(answers, key=lambda answer: (answer.task, answer.image)):
        if task not in TASKS:
            raise PargoError(f"image {image}: {task!r} is not a task of MME; choices: {', '.join(TASKS)}")
        marks = []
        for answer in group:
            if answer.label.lower() not in ("yes", "no"):
                raise PargoError(f"question {answer.id}: label {answer.label!r} is neither Yes nor No")
            marks.append(int(parse_prefix(answer.answer, prefix) == answer.label.lower()))
        if len(marks) != 2 or image in correct.get(task, {}):
            raise PargoError(
                f"task {task}, image {image}: {len(marks)} question(s) side by side"
                + (", others elsewhere" if image in correct.get(task, {}) else "")
                + "; MME asks two questions of every image, one after the other"
            )
        correct.setdefault(task, {})[image] = marks
    return correct


def image_values(correct: Mapping[str, Mapping[str, Sequence[int]]]) -> dict[str, dict[str, tuple[float, float]]]:
    """What each image adds to its task's mean: 50 for each right answer and 100 for both, over one image.

    The mean of it is 100 x (accuracy + accuracy_plus), as every image has two questions; so one draw of images
    gives one score.
    """
    return {
        task: {image: (50.0 * sum(marks) + 100.0 * all(marks), 1.0) for image, marks in images.items()}
        for task, images in correct.items()
    }


def group_scores(values: Groups) -> dict[str, float]:
    """The official tool's sums: `perception` and `cognition`, each if any of its tasks is there, and `total`."""
    parts = {name: {task: values[task] for task in tasks if task in values} for name, tasks in GROUPS.items()}
    return {name: total(part) for name, part in parts.items() if part} | {"total": total(values)}


def _task(name: str, correct: Correct, values: Groups, answers: Sequence[Answered], parser: str, samples: int) -> Task:
    marks = list(correct[name].values())
    own = [answer for answer in answers if answer.task == name]
    return make_task(
        values[name],
        samples,
        accuracy=sum(map(sum, marks)) / (2 * len(marks)),
        accuracy_plus=sum(map(all, marks)) / len(marks),
        num_questions=len(own),
        unparseable=sum(parse(answer.answer, answer, parser) == OTHER for answer in own),
    )


def coin_flip(num_images: Mapping[str, int], samples: int = COIN_FLIPS, seed: int = 0) -> Estimate:
    """Total score of a fair coin: the expected value, and what 95 % of runs get with this number of images.

    Each answer is right with probability 1/2, both of an image with 1/4: 50 + 25 points a task.
    """
    rng = np.random.default_rng(seed)
    totals = np.zeros(samples)
    for _, images in sorted(num_images.items()):
        _, one, both = rng.multinomial(images, [0.25, 0.5, 0.25], size=samples).T
        totals += 100 * ((one + 2 * both) / (2 * images) + both / images)
    return Estimate(75.0 * len(num_images), percentile_interval(totals))
