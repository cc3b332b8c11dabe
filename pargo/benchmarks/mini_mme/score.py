"""MME's official score: per task 100 x (accuracy + share of images with both answers right), at most 200; summed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from pargo.benchmarks.mini_mme.answers import OTHER, PREFIX_LENGTHS, parse_prefix
from pargo.benchmarks.records import Prediction
from pargo.config.data import MiniMME
from pargo.errors import PargoError
from pargo.report.statistics import Estimate, Groups, estimate, percentile_interval, total

Correct = dict[str, dict[str, list[int]]]
COIN_FLIPS = 20_000


def score(predictions: Sequence[Prediction], benchmark: MiniMME, samples: int) -> dict[str, Any]:
    """The score record without its inputs: see `pargo.benchmarks.score`.

    Raises:
        PargoError: predictions that do not pair up by image (`mark`).
    """
    correct = mark(predictions, benchmark.parser)
    groups = image_values(correct)
    parsers = {parser: total(image_values(mark(predictions, parser))) for parser in PREFIX_LENGTHS}
    constant = [prediction.model_copy(update={"answer": "yes"}) for prediction in predictions]
    coin = coin_flip({task: len(images) for task, images in correct.items()})
    headline = estimate([groups], samples)
    return {
        "parser": benchmark.parser,
        "parsers": parsers,
        "headline": {
            "name": "total score",
            "maximum": 200 * len(correct),
            "value": headline.value,
            "interval": list(headline.interval),
            "num_questions": len(predictions),
            "num_images": sum(map(len, correct.values())),
        },
        "tasks": {task: _task(task, correct, groups, predictions, benchmark, samples) for task in correct},
        "baselines": {
            "constant_answer": {
                "value": total(image_values(mark(constant, benchmark.parser))),
                "how": "`yes` to every question, scored like a model",
            },
            "coin_flip": {
                "value": coin.value,
                "interval": list(coin.interval),
                "how": f"expected score of fair coins; 95 % of {COIN_FLIPS} simulated runs lie in the interval",
            },
        },
        "correct": correct,
    }


def mark(predictions: Sequence[Prediction], parser: str) -> Correct:
    """Which answers are right: `{task: {image: [first, second]}}`, 1 for right, in the order of the file.

    Raises:
        PargoError: a label other than yes or no; an image whose two questions do not stand side by side, or that has
            another number of questions. The official tool pairs lines by order alone and would go wrong silently.
    """
    prefix = PREFIX_LENGTHS[parser]
    correct: Correct = {}
    for (task, image), group in groupby(predictions, key=lambda prediction: (prediction.task, prediction.image)):
        marks = []
        for prediction in group:
            if prediction.label.lower() not in ("yes", "no"):
                raise PargoError(f"question {prediction.id}: label {prediction.label!r} is neither Yes nor No")
            marks.append(int(parse_prefix(prediction.answer, prefix) == prediction.label.lower()))
        if len(marks) != 2 or image in correct.get(task, {}):
            raise PargoError(
                f"task {task}, image {image}: {len(marks)} question(s) side by side"
                + (", others elsewhere" if image in correct.get(task, {}) else "")
                + "; MME asks two questions of every image, one after the other"
            )
        correct.setdefault(task, {})[image] = marks
    return correct


def image_values(correct: Mapping[str, Mapping[str, Sequence[int]]]) -> Groups:
    """What each image adds to its task's mean: 50 for each right answer and 100 for both, over one image.

    The mean of it is 100 x (accuracy + accuracy_plus), as every image has two questions; so one draw of images
    gives one score.
    """
    return {
        task: {image: (50.0 * sum(marks) + 100.0 * all(marks), 1.0) for image, marks in images.items()}
        for task, images in correct.items()
    }


def _task(
    task: str,
    correct: Correct,
    groups: Groups,
    predictions: Sequence[Prediction],
    benchmark: MiniMME,
    samples: int,
) -> dict[str, Any]:
    marks = list(correct[task].values())
    own = estimate([{task: groups[task]}], samples)
    answers = [prediction.answer for prediction in predictions if prediction.task == task]
    return {
        "score": own.value,
        "accuracy": sum(map(sum, marks)) / (2 * len(marks)),
        "accuracy_plus": sum(map(all, marks)) / len(marks),
        "interval": list(own.interval),
        "num_questions": len(answers),
        "num_images": len(marks),
        "unparseable": sum(parse_prefix(answer, PREFIX_LENGTHS[benchmark.parser]) == OTHER for answer in answers),
    }


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
