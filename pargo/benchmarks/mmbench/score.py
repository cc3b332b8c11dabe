"""MMBench's official score: CircularEval, and plain accuracy beside it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pargo.benchmarks.mmbench.answers import REFUSED, RULES, UNMATCHED, parse
from pargo.benchmarks.mmbench.edition import edition
from pargo.benchmarks.mmbench.missing import seen_options
from pargo.benchmarks.mmbench.rows import L2_CATEGORY, NO_ANSWERS, NO_CATEGORY, ROTATION, group_of, number_of
from pargo.benchmarks.records import Answered, check_ids
from pargo.benchmarks.scores.make import make_headline, make_task
from pargo.benchmarks.scores.score_parts import Baseline, Figure
from pargo.benchmarks.scores.score_record import Result
from pargo.errors import PargoError

# name -> version; the first is the default: the rule of most published scores, the paper's among them
PARSERS = dict.fromkeys(RULES, 1)

Groups = dict[str, list[Answered]]  # id of the main row -> it and its rotations, main row first


def score(answers: Sequence[Answered], parser: str, samples: int) -> Result:
    """The benchmark's part of a score record. Scores are shares, at most 1.

    The headline and the tasks are circular accuracies, whose unit is the group: a question with its rotations. Where a
    table does not say the image, a group's id stands for it, and intervals are by question. Plain accuracy is over all
    rows, also those of groups that do not count. `figures` have the headline by every parser (`parsers`), and no
    categories where the table has none. `edition` says which MMBench it is.

    Raises:
        PargoError: no main rows, an id twice or that is no index, or a question without answer.
    """
    check_ids(answers, "mmbench")
    if unlabelled := [answer for answer in answers if not answer.label]:
        raise PargoError(f"question {unlabelled[0].id} has no answer to score by; {NO_ANSWERS}")
    groups, num_lost = group(answers)
    parsed = {answer.id: parse(answer.answer, answer, parser) for answer in answers}
    right = {answer.id: float(parsed[answer.id] == answer.label) for answer in answers}
    circular = _circular(groups, parser)
    leaves: dict[str, Groups] = defaultdict(dict)
    for key in sorted(groups, key=lambda key: (groups[key][0].task, int(key))):
        leaves[groups[key][0].task][key] = groups[key]
    values = {leaf: _by_image(keys, circular) for leaf, keys in leaves.items()}
    return Result(
        edition=edition(answers, len(groups) + num_lost),
        headline=make_headline(
            values,
            "pooled",
            samples,
            name="circular accuracy",
            maximum=1,
            num_questions=sum(map(len, groups.values())),
        ),
        tasks={
            leaf: make_task(
                values[leaf],
                samples,
                num_questions=sum(map(len, keys.values())),
                unparseable=sum(parsed[row.id] in (UNMATCHED, REFUSED) for rows in keys.values() for row in rows),
            )
            for leaf, keys in leaves.items()
        },
        figures={
            **_figures("circular", [(rows[0], circular[key]) for key, rows in groups.items()]),
            **_figures("plain", [(answer, right[answer.id]) for answer in answers]),
            "parsers": {name: _mean(list(_circular(groups, name).values())) for name in PARSERS},
        },
        counts={
            "rows": len(answers),
            "groups": len(groups),
            "groups_without_main_row": num_lost,
            "groups_with_missing_rotations": sum(map(_lacks_rotations, groups.values())),
            "unmatched": sum(letter in (UNMATCHED, REFUSED) for letter in parsed.values()),
            "refused": sum(letter == REFUSED for letter in parsed.values()),
            # always wrong in the official tool, which reads such an option as missing
            "right_option_reads_missing": sum(answer.label not in seen_options(answer.options) for answer in answers),
        },
        baselines={"chance": Baseline(value=chance(groups), how="expected circular accuracy of random letters")},
        correct=_correct(answers, right),
        values=values,
    )


def _lacks_rotations(rows: Sequence[Answered]) -> bool:
    """Whether a group has fewer rows than options, or than its last rotation says: options may be missing."""
    return len(rows) < max(len(rows[0].options), number_of(rows[-1]) // ROTATION + 1)


def _circular(groups: Groups, parser: str) -> dict[str, float]:
    """1 for each group whose rows are all right, else 0."""
    return {
        key: float(all(parse(row.answer, row, parser) == row.label for row in rows)) for key, rows in groups.items()
    }


def _by_image(groups: Groups, circular: Mapping[str, float]) -> dict[str, list[float]]:
    """Right groups and groups, of each image."""
    values: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for key, rows in groups.items():
        pair = values[rows[0].image or key]
        pair[0] += circular[key]
        pair[1] += 1.0
    return dict(values)


def group(answers: Sequence[Answered]) -> tuple[Groups, int]:
    """The groups that have a main row, and the number of those that have none and do not count.

    Raises:
        PargoError: no group has one.
    """
    found: Groups = defaultdict(list)
    for answer in answers:
        found[group_of(answer)].append(answer)
    for rows in found.values():
        rows.sort(key=number_of)
    groups = {key: rows for key, rows in found.items() if rows[0].id == key}
    if not groups:
        raise PargoError(f"none of {len(answers)} rows is a main row (index below 1,000,000), so no group counts")
    return groups, len(found) - len(groups)


def chance(groups: Mapping[str, Sequence[Answered]]) -> float:
    """Expected share of groups in which letters drawn at random, one for each row, are all right.

    Drawn are the options that the official tool sees; a row whose right option is none of them is never right.
    """
    return math.fsum(math.prod(map(_chance, rows)) for rows in groups.values()) / len(groups)


def _chance(row: Answered) -> float:
    options = seen_options(row.options)
    return 1 / len(options) if row.label in options else 0.0


def _figures(name: str, marks: Sequence[tuple[Answered, float]]) -> dict[str, Figure]:
    """The mean of the marks, overall and as the official tool divides it; a split without name is `none`."""
    return {
        name: _mean([mark for _, mark in marks]),
        f"{name}_by_l2_category": _means((row.details.get(L2_CATEGORY, ""), mark) for row, mark in marks),
        f"{name}_by_category": _means((row.task if row.task != NO_CATEGORY else "", mark) for row, mark in marks),
        f"{name}_by_split": _means((row.details.get("split", "none"), mark) for row, mark in marks),
    }


def _means(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    parts: dict[str, list[float]] = defaultdict(list)
    for key, mark in pairs:
        if key:
            parts[key].append(mark)
    return {key: _mean(parts[key]) for key in sorted(parts)}


def _mean(marks: Sequence[float]) -> float:
    return math.fsum(marks) / len(marks)


def _correct(answers: Sequence[Answered], right: Mapping[str, float]) -> dict[str, dict[str, list[float]]]:
    """Each row's mark by leaf and image, in the order given; by group where the file does not say the image."""
    correct: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        correct[answer.task][answer.image or group_of(answer)].append(right[answer.id])
    return {task: dict(images) for task, images in correct.items()}
