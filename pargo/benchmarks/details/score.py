"""The score of captions: by kind of fact, precision and recall of what they say, and F1, which weighs both alike.

F1 of a kind is 2 x right / (said + there), over all images. The headline is the mean over kinds. Where a model was
also asked how likely it finds the right captions, `loss` is its cross entropy by kind, in nats a token.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pargo.benchmarks.details.facts import Names
from pargo.benchmarks.records import Answered, Prediction
from pargo.benchmarks.scores.make import make_headline, make_task
from pargo.benchmarks.scores.score_parts import Baseline
from pargo.benchmarks.scores.score_record import Result, groups_of
from pargo.data.annotations import KINDS, Facts
from pargo.errors import PargoError
from pargo.statistics import total

PARSERS = {"facts": 1}

Counts = Mapping[str, Sequence[tuple[int, int, int]]]  # kind -> of each answer: facts right, said and there


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are shares, at most 1."""
    there = [_facts(answer) for answer in answers]
    names = Names.of(there)
    said = [names.facts(answer.answer) for answer in answers]
    counts, images = _count(said, there), [answer.image for answer in answers]
    values = _values(counts, images)
    precision, recall = _ratios(counts, 1), _ratios(counts, 2)
    silent = sum(not any(facts.values()) for facts in said)
    tasks = {
        kind: make_task(
            values[kind],
            samples,
            accuracy=recall[kind],
            num_questions=sum(number for _, _, number in counts[kind]),
            unparseable=0,
        )
        for kind in counts
    }
    figures: dict[str, Mapping[str, float]] = {"precision": precision, "recall": recall}
    if losses := _losses(answers):
        figures["loss"] = losses
    return Result(
        headline=make_headline(
            values,
            "mean",
            samples,
            name="F1",
            maximum=1,
            num_questions=sum(task.num_questions for task in tasks.values()),
        ),
        tasks=tasks,
        figures=figures,
        counts={"unparseable": silent, "facts_said": sum(number for kind in counts.values() for _, number, _ in kind)},
        baselines=_baselines(answers, names, there),
        correct=_correct(said, there, counts, images),
        values=values,
    )


def _facts(answer: Answered) -> Facts:
    """What there is to be seen, in small letters."""
    try:
        found = json.loads(answer.details["facts"])
        return {kind: Counter(tuple(part.lower() for part in fact) for fact in found[kind]) for kind in KINDS}
    except (KeyError, ValueError, TypeError, AttributeError):
        raise PargoError(f"question {answer.id}: its details hold no facts: expected `facts`, by kind") from None


def _count(said: Sequence[Facts], there: Sequence[Facts]) -> Counts:
    """Of the kinds of which anything is there."""
    return {
        kind: [
            ((claimed[kind] & known[kind]).total(), claimed[kind].total(), known[kind].total())
            for claimed, known in zip(said, there, strict=True)
        ]
        for kind in KINDS
        if any(known[kind] for known in there)
    }


def _values(counts: Counts, images: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Of F1: an image adds twice what is right, over what is said and what is there."""
    values: dict[str, dict[str, list[float]]] = {}
    for kind, rows in counts.items():
        values[kind] = {image: [0.0, 0.0] for image in images}
        for image, (right, claimed, known) in zip(images, rows, strict=True):
            values[kind][image][0] += 2 * right
            values[kind][image][1] += claimed + known
    return values


def _ratios(counts: Counts, place: int) -> dict[str, float]:
    """What is right, over what is said (1) or there (2); 0 where nothing is."""
    return {kind: sum(row[0] for row in rows) / (sum(row[place] for row in rows) or 1) for kind, rows in counts.items()}


def _correct(
    said: Sequence[Facts], there: Sequence[Facts], counts: Counts, images: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """A mark for each fact that is there, in a fixed order: 1 where the caption says it."""
    correct: dict[str, dict[str, list[float]]] = {kind: defaultdict(list) for kind in counts}
    for image, claimed, known in zip(images, said, there, strict=True):
        for kind, marks in correct.items():
            for fact, number in sorted(known[kind].items()):
                right = min(claimed[kind][fact], number)
                marks[image] += [1.0] * right + [0.0] * (number - right)
    return {kind: {image: list(row) for image, row in marks.items()} for kind, marks in correct.items()}


def _losses(answers: Sequence[Answered]) -> dict[str, float]:
    """Cross entropy of the right captions' facts, by kind, in nats a token; empty where no model was asked."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for answer in answers:
        if isinstance(answer, Prediction):
            for kind, (loss, number) in answer.label_losses.items():
                sums[kind][0] += loss
                sums[kind][1] += number
    return {kind: sums[kind][0] / sums[kind][1] for kind in KINDS if kind in sums}


def _baselines(answers: Sequence[Answered], names: Names, there: Sequence[Facts]) -> dict[str, Baseline]:
    """The score without looking: the one caption of these that is right most often, for every image."""
    images = [answer.image for answer in answers]

    def value(caption: str) -> float:
        said = [names.facts(caption)] * len(answers)
        return total(groups_of(_values(_count(said, there), images), "mean"))

    best = max(sorted({answer.label for answer in answers}), key=value)
    return {"one_caption": Baseline(value=value(best), how=f"`{best}` for every image, the best of the right captions")}
