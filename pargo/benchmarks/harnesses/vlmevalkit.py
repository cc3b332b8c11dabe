"""Figures of VLMEvalKit for given answers, without its judge (`exact_matching`), from the same answers. Pure.

Two versions: the package `ms-vlmeval` 0.0.20, and the newer sources as of e8e78f05, which read one form of letters more
and take no part of MME.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pargo.benchmarks.harnesses.harness import (
    CAPABILITIES,
    Benchmark,
    Figures,
    grade_of,
    mme_scores,
    pooled,
    precision_recall_f1,
    splits_of,
    tasks_of,
)
from pargo.benchmarks.mmbench.answers import parse
from pargo.benchmarks.mmbench.missing import MISSING
from pargo.benchmarks.mmbench.results import MAX_CELL
from pargo.benchmarks.mmbench.rows import L2_CATEGORY, NO_CATEGORY
from pargo.benchmarks.mmbench.score import group
from pargo.benchmarks.mme.tasks import GROUPS
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.errors import PargoError

PACKAGE = "ms-vlmeval 0.0.20"
SOURCES = "VLMEvalKit e8e78f05 (2026-08-18)"
_SIGNS = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"(?<!\d)\.(?!\d)")
_FULL_STOPS = 32  # so many are dropped
_MME_SUMS = {"perception": "perception", "reasoning": "cognition"}  # theirs and ours
_ABILITIES = {
    "coarse_perception": "CP",
    "finegrained_perception (instance-level)": "FP-S",
    "finegrained_perception (cross-instance)": "FP-C",
    "logic_reasoning": "LR",
    "relation_reasoning": "RR",
    "attribute_reasoning": "AR",
}
UNKNOWN = "unknown"


def as_cell(answer: str, *, newest: bool) -> str:
    """The answer as it is read back from the xlsx table that the tool keeps it in."""
    if answer in MISSING:
        return "nan"
    if not newest and (answer.startswith("=") or (answer.startswith("{=") and answer.endswith("}"))):
        return "0"  # written as a formula, whose value nobody computed
    return answer[:MAX_CELL]


def read_letter(answer: Answered, *, newest: bool) -> str:
    """The option that MMBench's parser of that version finds, `Z` for a refusal, or nothing; also for SEED-Bench."""
    parser = "vlmevalkit_2026_08" if newest else "vlmevalkit_2025_08"
    return parse(as_cell(answer.answer, newest=newest), answer, parser)


def read_yes_no(answer: Answered, *, newest: bool) -> str:
    """Yes or no, if it is a word of the answer and the other is not; else `unknown`."""
    text = original = as_cell(answer.answer, newest=newest).lower()
    joined = bool(_THOUSANDS.search(original))
    for sign in _SIGNS:  # a sign beside any space vanishes everywhere, so that its words grow together
        vanishes = joined or f"{sign} " in original or f" {sign}" in original
        text = text.replace(sign, "" if vanishes else " ")
    words = {"yes", "no"} & set(_FULL_STOP.sub("", text, count=_FULL_STOPS).split())
    return words.pop() if len(words) == 1 else UNKNOWN


def mme(answers: Sequence[Answered], *, newest: bool) -> Figures:
    """Sums and the tasks' scores, in points.

    Raises:
        PargoError: a task without answers, where the newest version fails.
    """
    scores = mme_scores(answers, partial(read_yes_no, newest=newest))
    if newest and (missing := [task for tasks in GROUPS.values() for task in tasks if task not in scores]):
        raise PargoError(f"mme: no answer to task {missing[0]!r}, and VLMEvalKit adds up all tasks: it fails here")
    sums = {name: float(sum(scores.get(task, 0) for task in GROUPS[own])) for name, own in _MME_SUMS.items()}
    return sums | scores


def pope(answers: Sequence[Answered], *, newest: bool) -> Figures:
    """F1 (`Overall`), accuracy, precision and recall in percent, over all splits and in each."""
    splits: dict[str, list[Answered]] = {"Overall": list(answers)}
    for answer in answers:
        splits.setdefault(answer.task, []).append(answer)
    return {
        f"{split} / {name}": 100 * value for split, own in splits.items() for name, value in _pope(own, newest).items()
    }


def _pope(answers: Sequence[Answered], newest: bool) -> Figures:
    counts = Counter((read_yes_no(answer, newest=newest), answer.label) for answer in answers)
    right = counts["yes", "yes"]
    said, asked = right + counts["yes", "no"], sum(answer.label == "yes" for answer in answers)
    precision, recall, f1 = precision_recall_f1(right, said, asked)
    return {
        "Overall": f1,
        "acc": (right + counts["no", "no"]) / len(answers),
        "precision": precision,
        "recall": recall,
    }


def seedbench(answers: Sequence[Answered], read: Callable[[Answered], str]) -> Figures:
    """Accuracy over all image questions and in each dimension, as shares."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        for name in ("Overall", answer.task):
            marks[name].append(read(answer) == answer.label)
    return _shares(marks)


def mmbench(answers: Sequence[Answered], read: Callable[[Answered], str]) -> Figures:
    """Circular accuracy of each split, over all groups and by both kinds of category, as shares."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for rows in group(answers)[0].values():
        main, hit = rows[0], all(read(row) == row.label for row in rows)
        l2_category = main.details.get(L2_CATEGORY, "")
        split = main.details.get("split", "none")
        for name in ("Overall", _ABILITIES.get(l2_category, l2_category), main.task):
            if name and name != NO_CATEGORY:
                marks[f"{split} / {name}"].append(hit)
    return _shares(marks)


def mmvet(answers: Sequence[Answered]) -> Figures:
    """Capabilities, their exact sets and `Overall` in percent.

    Raises:
        PargoError: no question needs one of the six capabilities; VLMEvalKit divides by zero then.
    """
    found: dict[str, list[float]] = {name: [] for name in (*CAPABILITIES, "Overall")}
    for answer in answers:
        names, grade = answer.details["capability"].split(","), grade_of(answer)
        # one counter for capabilities and sets: a set of one counts twice
        for name in ("Overall", *(name for name in names if name in CAPABILITIES), "_".join(sorted(names))):
            found.setdefault(name, []).append(grade)
    if missing := [name for name, grades in found.items() if not grades]:
        raise PargoError(
            f"mmvet: no answer needs {missing[0]!r}, and VLMEvalKit divides by their number: it fails here"
        )
    return {name: 100 * sum(grades) / len(grades) for name, grades in found.items()}


def _shares(marks: Mapping[str, Sequence[bool]]) -> Figures:
    return {name: sum(hits) / len(hits) for name, hits in marks.items()}


def _ours_pope(record: ScoreRecord) -> Figures:
    splits = splits_of(record)
    tasks = {"Overall": pooled(splits.values())} | splits
    names = {"Overall": "f1", "acc": "accuracy", "precision": "precision", "recall": "recall"}
    return {f"{task} / {name}": 100 * values[own] for task, values in tasks.items() for name, own in names.items()}


def _ours_mmbench(record: ScoreRecord) -> Figures:
    splits = record.numbers("circular_by_split")
    ours = {f"{split} / Overall": value for split, value in splits.items()}
    if len(splits) == 1:  # our categories are over all splits
        parts = record.numbers("circular_by_category") | {
            _ABILITIES.get(name, name): value for name, value in record.numbers("circular_by_l2_category").items()
        }
        ours |= {f"{split} / {name}": value for split in splits for name, value in parts.items()}
    return ours


def _ours_mmvet(record: ScoreRecord) -> Figures:
    ours = {"Overall": record.number("total")} | {
        "_".join(sorted(name.split("+"))): value for name, value in record.numbers("integration").items()
    }
    return {name: 100 * value for name, value in (ours | record.numbers("capability")).items()}


_YES_NO = (
    "Yes or no counts wherever it stands as a word, unless both do: `I think so, yes` is yes; `**Yes**`, `Yes:` and "
    "`'yes'` are neither."
)
_JUDGE = "Its judge is not asked; in its default setting a model is, about every answer that these rules do not read."
_CELLS = "It reads its own tables with pandas: an answer `None` or `NA`, or none, is the word `nan`."


def _benchmarks(*, newest: bool) -> dict[str, Benchmark]:
    yes_no, read = partial(read_yes_no, newest=newest), partial(read_letter, newest=newest)
    letters = (
        "A letter counts alone or among `.()[],:;!*#{}` as one of the last four words, else the one option whose text "
        "stands in an answer that is not twice as long as all options: `**A**` and `The answer is A` are A."
        + (" `answer is` before a letter, in any case, counts anywhere." if newest else "")
    )
    formulas = () if newest else ("An answer that begins with `=` is a formula in its xlsx table, and read as 0.",)
    missing = "An option that reads `None`, `NA`, `null` or `nan` is none, and its letter is not read."
    return {
        "mme": Benchmark(
            partial(mme, newest=newest),
            lambda record: (
                {name: record.number(own) if own in record.figures else 0.0 for name, own in _MME_SUMS.items()}
                | tasks_of(record, "score")
            ),
            yes_no,
            (_YES_NO, *formulas, _JUDGE),
        ),
        "pope": Benchmark(
            partial(pope, newest=newest),
            _ours_pope,
            yes_no,
            (
                _YES_NO,
                "An answer that is neither is wrong for `acc` and a `no` for F1, precision and recall; ours takes it "
                "for yes.",
                "`Overall` pools the splits, where the headline here is the mean of three F1.",
                "Its table asks a question once that is in several splits.",
                *formulas,
                _JUDGE,
            ),
        ),
        "seedbench": Benchmark(
            partial(seedbench, read=read),
            lambda record: {"Overall": record.headline.known} | tasks_of(record, "accuracy"),
            read,
            (letters, missing, _CELLS, *formulas, _JUDGE),
        ),
        "mmbench": Benchmark(
            partial(mmbench, read=read), _ours_mmbench, read, (letters, missing, _CELLS, *formulas, _JUDGE)
        ),
        "mmvet": Benchmark(
            mmvet,
            _ours_mmvet,
            None,
            (
                "Capabilities and exact sets share a counter, so a question with a single capability counts twice in "
                "it: rec, ocr and math are not the means of their questions.",
            ),
        ),
    }


BENCHMARKS = {PACKAGE: _benchmarks(newest=False), SOURCES: _benchmarks(newest=True)}
