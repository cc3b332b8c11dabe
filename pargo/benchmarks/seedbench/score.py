"""SEED-Bench's official score: accuracy over all image questions, and in each of their dimensions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pargo.benchmarks.records import Answered, Prediction
from pargo.benchmarks.scores.make import make_headline, make_task, shares
from pargo.benchmarks.scores.score_parts import Baseline, Figure
from pargo.benchmarks.scores.score_record import Result
from pargo.benchmarks.seedbench.answers import UNMATCHED, parse, rank
from pargo.errors import PargoError

# name -> version; a change of what a parser makes of an answer is a new version
PARSERS = {"letter": 1, "ranking_sum": 1, "ranking_mean": 1}

Correct = dict[str, dict[str, list[int]]]


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are shares, at most 1.

    The headline is pooled over questions: it is not the mean of the dimensions. `figures` hold each dimension's
    accuracy and counts and, with parser `letter`, the accuracy of those who accept nothing but the bare letter.

    Raises:
        PargoError: no answers, a label that is no option, or parsers that rank and an answer without finite losses.
    """
    if not answers:
        raise PargoError("seedbench: no answers to score")
    chosen = [choose(answer, parser) for answer in answers]
    correct = mark(answers, chosen)
    values = shares(correct)
    unmatched = Counter(answer.task for answer, choice in zip(answers, chosen, strict=True) if choice == UNMATCHED)
    counts = {task: sum(map(len, images.values())) for task, images in correct.items()}
    tasks = {
        task: make_task(values[task], samples, num_questions=counts[task], unparseable=unmatched[task])
        for task in correct
    }
    figures: dict[str, Figure] = {
        task: {
            "accuracy": tasks[task].known,
            "correct": sum(map(sum, images.values())),
            "questions": counts[task],
        }
        for task, images in correct.items()
    }
    if parser == "letter":
        exact = sum(answer.answer == answer.label for answer in answers)
        figures["bare_letter"] = {"accuracy": exact / len(answers), "correct": exact, "questions": len(answers)}
    return Result(
        headline=make_headline(values, "pooled", samples, name="accuracy", maximum=1, num_questions=len(answers)),
        tasks=tasks,
        figures=figures,
        counts={
            "unmatched": unmatched.total(),
            "repeated_questions": sum(int(answer.details.get("repeats", "0")) for answer in answers),
        },
        baselines=baselines(answers),
        correct=correct,
        values=values,
    )


def choose(answer: Answered, parser: str) -> str:
    """The option that an answer chooses, or "" for none.

    Raises:
        PargoError: the parser ranks, and the answer has no losses of its options; or the other way round.
    """
    losses: Mapping[str, tuple[float, int]] = answer.option_losses if isinstance(answer, Prediction) else {}
    if parser == "letter":
        if losses and not answer.answer:
            raise PargoError(
                f"question {answer.id}: its options were ranked, it has no answer that `letter` could read"
            )
        return parse(answer.answer, answer)
    return rank(losses, parser, f"question {answer.id}")


def mark(answers: Sequence[Answered], chosen: Sequence[str]) -> Correct:
    """Which choices are right: `{dimension: {image: [0 or 1, ...]}}`, dimensions in the order of their numbers.

    Raises:
        PargoError: a label that is none of the options.
    """
    numbers = {answer.task: answer.details.get("question_type_id", "") for answer in answers}
    order = sorted(numbers, key=lambda task: (len(numbers[task]), numbers[task], task))
    correct: dict[str, dict[str, list[int]]] = {task: defaultdict(list) for task in order}
    for answer, choice in zip(answers, chosen, strict=True):
        if answer.label not in answer.options:
            raise PargoError(f"question {answer.id}: label {answer.label!r}; options: {', '.join(answer.options)}")
        correct[answer.task][answer.image].append(int(choice == answer.label))
    return {task: dict(images) for task, images in correct.items()}


def baselines(answers: Sequence[Answered]) -> dict[str, Baseline]:
    """Accuracy without looking: the best constant letter, and a guess among the options."""
    labels = Counter(answer.label for answer in answers)
    letter = min(labels, key=lambda label: (-labels[label], label))
    return {
        "constant_answer": Baseline(
            value=labels[letter] / len(answers),
            how=f"`{letter}`, the most common label, to every question",
        ),
        "random_choice": Baseline(
            value=sum(1 / len(answer.options) for answer in answers) / len(answers),
            how="expected accuracy of an option drawn at random",
        ),
    }
