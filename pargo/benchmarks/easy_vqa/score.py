"""easy-VQA's score: the share of answers that match exactly, over all questions and by type of answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pargo.benchmarks.easy_vqa.answers import ANSWERS, TYPES, normalise
from pargo.benchmarks.records import Prediction
from pargo.config.data import EasyVQA
from pargo.errors import PargoError
from pargo.report.statistics import Groups, estimate

Correct = dict[str, dict[str, list[int]]]


def score(predictions: Sequence[Prediction], benchmark: EasyVQA, samples: int) -> dict[str, Any]:
    """The score record without its inputs: see `pargo.benchmarks.score`. Scores are shares, at most 1."""
    correct = mark(predictions)
    groups = image_values(correct)
    headline = estimate([groups], samples)
    return {
        "parser": "exact",
        "headline": {
            "name": "accuracy",
            "maximum": 1,
            "value": headline.value,
            "interval": list(headline.interval),
            "num_questions": len(predictions),
            "num_images": len({prediction.image for prediction in predictions}),
        },
        "tasks": {task: _task(task, correct, predictions, samples) for task in correct},
        "baselines": baselines(predictions),
        "correct": correct,
    }


def mark(predictions: Sequence[Prediction]) -> Correct:
    """Which answers are right: `{type of answer: {image: [0 or 1, ...]}}`, in the order of the file.

    Raises:
        PargoError: a type of answer that easy-VQA does not have.
    """
    correct: dict[str, dict[str, list[int]]] = {task: defaultdict(list) for task in TYPES}
    for prediction in predictions:
        if prediction.task not in correct:
            raise PargoError(f"question {prediction.id}: task {prediction.task!r}; choices: {', '.join(TYPES)}")
        right = normalise(prediction.answer) == normalise(prediction.label)
        correct[prediction.task][prediction.image].append(int(right))
    return {task: dict(images) for task, images in correct.items() if images}


def image_values(correct: Mapping[str, Mapping[str, Sequence[int]]]) -> Groups:
    """Right answers over questions of each image, all types together: images are what is drawn, whole."""
    marks: dict[str, list[int]] = defaultdict(list)
    for images in correct.values():
        for image, values in images.items():
            marks[image] += values
    return {"all": {image: (float(sum(values)), float(len(values))) for image, values in marks.items()}}


def _task(task: str, correct: Correct, predictions: Sequence[Prediction], samples: int) -> dict[str, Any]:
    own = estimate([image_values({task: correct[task]})], samples)
    answers = [normalise(prediction.answer) for prediction in predictions if prediction.task == task]
    known = ANSWERS.keys() | {normalise(prediction.label) for prediction in predictions}
    return {
        "score": own.value,
        "accuracy": own.value,
        "accuracy_plus": None,  # easy-VQA has no pairs
        "interval": list(own.interval),
        "num_questions": len(answers),
        "num_images": len(correct[task]),
        "unparseable": sum(answer not in known for answer in answers),
    }


def baselines(predictions: Sequence[Prediction]) -> dict[str, dict[str, Any]]:
    """Accuracy without looking: always the most common answer, and the most common answer to each question."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for prediction in predictions:
        labels[prediction.question][normalise(prediction.label)] += 1
    overall: Counter[str] = sum(labels.values(), Counter())
    answer = min(overall, key=lambda label: (-overall[label], label))
    best = sum(max(counter.values()) for counter in labels.values())
    return {
        "majority_answer": {
            "value": overall[answer] / len(predictions),
            "how": f"`{answer}`, the most common answer of these questions, to every question",
        },
        "majority_answer_by_question": {
            "value": best / len(predictions),
            "how": "the most common answer of each question text, from these very labels: no model that does not "
            "see the image does better",
        },
    }
