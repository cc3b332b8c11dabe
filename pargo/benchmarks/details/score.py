"""The score of captions: by kind of fact, precision and recall of what they say, and F1, which weighs both alike.

F1 of a kind is 2 x right / (said + there), over all images: micro-averaged. The headline is the mean over kinds,
macro-F1. Where a model was also asked how likely it finds the right captions, `loss` is its cross entropy by kind, in
nats a token.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pargo.benchmarks.details.answers import parse
from pargo.benchmarks.details.facts import Names, in_small_letters
from pargo.benchmarks.records import Answered, Prediction
from pargo.benchmarks.scores.make import make_headline, make_task
from pargo.benchmarks.scores.score_parts import Baseline, Task
from pargo.benchmarks.scores.score_record import Result, groups_of, has_ratio
from pargo.data.annotations import KINDS, Facts, Kind
from pargo.errors import PargoError
from pargo.statistics import total

PARSERS = {"facts": 1}

ByKind = dict[str, dict[str, list[float]]]  # kind -> image -> numbers


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are shares, at most 1."""
    there = [_facts(answer) for answer in answers]
    names = Names.of(there)
    said = [names.facts(parse(answer.answer, answer, parser)) for answer in answers]
    images, counts = [answer.image for answer in answers], _count(said, there)
    values = {kind: _by_image(images, [(2 * row[0], row[1] + row[2]) for row in rows]) for kind, rows in counts.items()}
    measures = {
        "precision": {kind: _by_image(images, [row[:2] for row in rows]) for kind, rows in counts.items()},
        "recall": {kind: _by_image(images, [(row[0], row[2]) for row in rows]) for kind, rows in counts.items()},
        "loss": _losses(answers),
    }
    measures = {name: found for name, found in measures.items() if found}
    figures = {
        name: {kind: _ratio(pairs) for kind, pairs in found.items() if has_ratio(pairs)}
        for name, found in measures.items()
    }
    tasks: dict[str, Task] = {
        kind: make_task(
            values[kind], samples, num_questions=sum(known for _, _, known in rows), unparseable=0, defined=True
        ).model_copy(update={"accuracy": None})
        for kind, rows in counts.items()
    }
    return Result(
        headline=make_headline(
            values,
            "mean",
            samples,
            name="mean F1",
            maximum=1,
            num_questions=sum(task.num_questions for task in tasks.values()),
            defined=True,
        ),
        tasks=tasks,
        figures={name: found for name, found in figures.items() if found},
        counts={
            "captions_without_facts": sum(not any(facts.values()) for facts in said),
            "facts_said": sum(claimed for rows in counts.values() for _, claimed, _ in rows),
        },
        baselines=_baselines(answers, names, there),
        correct={},  # facts of one caption stand and fall together, so a mark for each would be taken for a trial
        values=values,
        measures=measures,
    )


def _facts(answer: Answered) -> Facts:
    """What there is to be seen, in small letters."""
    try:
        found = json.loads(answer.details["facts"])
        return in_small_letters({kind: Counter(tuple(fact) for fact in found[kind]) for kind in KINDS})
    except (KeyError, ValueError, TypeError, AttributeError):
        raise PargoError(f"question {answer.id}: its details hold no facts: expected `facts`, by kind") from None


def _kinds(there: Sequence[Facts]) -> list[Kind]:
    """Kinds of fact of which anything is there."""
    return [kind for kind in KINDS if any(known[kind] for known in there)]


def _count(said: Sequence[Facts], there: Sequence[Facts]) -> dict[str, list[tuple[int, int, int]]]:
    """By kind, of each answer: the facts that are right, that it says, and that are there."""
    return {
        kind: [
            ((claimed[kind] & known[kind]).total(), claimed[kind].total(), known[kind].total())
            for claimed, known in zip(said, there, strict=True)
        ]
        for kind in _kinds(there)
    }


def _by_image(images: Sequence[str], pairs: Iterable[tuple[float, float]]) -> dict[str, list[float]]:
    """Numerators and denominators, summed by image."""
    found = {image: [0.0, 0.0] for image in images}
    for image, pair in zip(images, pairs, strict=True):
        found[image][0] += pair[0]
        found[image][1] += pair[1]
    return found


def _ratio(pairs: Mapping[str, Sequence[float]]) -> float:
    return total(groups_of({"all": pairs}, "sum"))


def _losses(answers: Sequence[Answered]) -> ByKind:
    """Cross entropy of the right captions' facts and number of their tokens; empty where no model was asked."""
    asked = [answer for answer in answers if isinstance(answer, Prediction) and answer.label_losses]
    images = [answer.image for answer in asked]
    return {
        kind: _by_image(images, (answer.label_losses.get(kind, (0.0, 0)) for answer in asked))
        for kind in KINDS
        if any(kind in answer.label_losses for answer in asked)
    }


def _baselines(answers: Sequence[Answered], names: Names, there: Sequence[Facts]) -> dict[str, Baseline]:
    """The score without looking: the one caption of these that is right most often, for every image."""
    kinds = _kinds(there)
    # in how many images a fact is there once, twice and so on: comparing every caption with every image takes long
    times = {
        kind: Counter(
            (fact, time) for known in there for fact, number in known[kind].items() for time in range(1, number + 1)
        )
        for kind in kinds
    }

    def by_kind(caption: str) -> dict[str, float]:
        said = names.facts(caption)
        scores: dict[str, float] = {}
        for kind in kinds:
            facts = [(fact, time) for fact, number in said[kind].items() for time in range(1, number + 1)]
            right = sum(times[kind][fact] for fact in facts)
            scores[kind] = 2 * right / (len(facts) * len(there) + times[kind].total())
        return scores

    def mean(scores: Mapping[str, float]) -> float:
        return math.fsum(scores.values()) / len(scores)

    found = {caption: by_kind(caption) for caption in sorted({answer.label for answer in answers})}
    best = max(found, key=lambda caption: mean(found[caption]))
    how = f"`{best}` for every image, the best of the right captions"
    return {"one_caption": Baseline(value=mean(found[best]), how=how, tasks=found[best])}
