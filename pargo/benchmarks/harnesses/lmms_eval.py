"""Figures of lmms-eval 0.7.3 for given answers: what its tasks print, from the same answers. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from random import Random

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
from pargo.benchmarks.harnesses.lmms_letters import first_reading, static_reading
from pargo.benchmarks.mmbench.edition import edition
from pargo.benchmarks.mmbench.rows import L2_CATEGORY, NO_CATEGORY
from pargo.benchmarks.mmbench.score import group
from pargo.benchmarks.mme.answers import parse_prefix
from pargo.benchmarks.mme.tasks import GROUPS
from pargo.benchmarks.records import Answered
from pargo.benchmarks.scores.score_record import ScoreRecord

TOOL = "lmms-eval 0.7.3"
# of its command line; other tags, `<thinking>` among them, stay in the answer
_THOUGHTS = ("think", "analysis")
_POPE_TASKS = {"random": "pope_random", "popular": "pope_pop", "adversarial": "pope_adv"}
_SEED = 2680  # of the letters that it draws
# the sets of capabilities that it prints; a question with another one counts in none of them
_SETS = (
    *("rec_gen_know", "rec", "spat_ocr", "spat_math_ocr", "rec_spat", "ocr", "math_ocr", "rec_know"),
    *("rec_spat_gen_ocr", "rec_gen_ocr_know", "rec_spat_ocr", "rec_ocr", "know_spat_ocr", "rec_spat_know"),
    *("spat_gen_ocr", "rec_spat_math_ocr"),
)


def without_thoughts(answer: str) -> str:
    """The answer as every task gets it: thoughts are cut, also those of which only the end is tagged."""
    for name in _THOUGHTS:
        opening, closing = f"<{name}>", f"</{name}>"
        answer = re.sub(f"{opening}.*?{closing}", "", answer, flags=re.DOTALL)
        if opening not in answer:
            answer = answer.rpartition(closing)[2]
    return answer.strip()


def read_mme(answer: Answered) -> str:
    """Yes or no in the first four characters without full stops, or its first letter alone."""
    text = without_thoughts(answer.answer).lower().replace(".", "")
    return {"y": "yes", "n": "no"}.get(text) or parse_prefix(text, 4)


def mme(answers: Sequence[Answered]) -> Figures:
    """The two sums that it prints, and the tasks' scores of its log."""
    scores = mme_scores(answers, read_mme)
    sums = {
        f"mme_{name}_score": sum(scores[task] for task in tasks if task in scores)
        for name, tasks in GROUPS.items()
        if not scores.keys().isdisjoint(tasks)
    }
    return sums | scores


def read_pope(answer: Answered) -> str:
    """The whole answer, capitals aside: `yes.` is neither yes nor no."""
    return without_thoughts(answer.answer).lower()


def pope(answers: Sequence[Answered]) -> Figures:
    """Task `pope`, all splits in one, and the task of each split."""
    tasks = {"pope": list(answers)}
    for split, task in _POPE_TASKS.items():
        if own := [answer for answer in answers if answer.task == split]:
            tasks[task] = own
    return {f"{task} / {name}": value for task, own in tasks.items() for name, value in _pope(own).items()}


def _pope(answers: Sequence[Answered]) -> Figures:
    counts = Counter((read_pope(answer), answer.label) for answer in answers)
    labels = Counter(answer.label for answer in answers)
    right = counts["yes", "yes"]
    said, asked = right + counts["yes", "no"], right + counts["no", "yes"]  # an answer that is neither is in no count
    precision, recall, f1 = precision_recall_f1(right, said, asked)
    return {
        "pope_accuracy": (right + counts["no", "no"]) / len(answers),
        "pope_precision": precision,
        "pope_recall": recall,
        "pope_f1_score": f1,
        "pope_yes_ratio": labels["yes"] / len(answers),
    }


def read_seedbench(answer: Answered) -> str:
    """The first character, as a capital."""
    return without_thoughts(answer.answer)[:1].upper()


def seedbench(answers: Sequence[Answered]) -> Figures:
    """`seed_image`; there are no figures by dimension."""
    return {"seed_image": sum(read_seedbench(answer) == answer.label for answer in answers) / len(answers)}


def read_mmbench(answer: Answered) -> str:
    """The letter before any judge is asked, or nothing."""
    return first_reading(without_thoughts(answer.answer), answer.options)


def _read_static(answer: Answered) -> str:
    return read_mmbench(answer) or static_reading(without_thoughts(answer.answer))


def mmbench(answers: Sequence[Answered]) -> Figures:
    """The dev task without a judge, where letters are drawn for what it cannot read, and in English the static one."""
    language = "cn" if edition(answers, 0)["language"] == "CN" else "en"
    draws = Random(_SEED)

    def draw(row: Answered) -> str:
        return "ABCDE"[draws.randint(0, 4)]

    figures = _mmbench(answers, draw, f"mmbench_{language}_dev without a judge")
    return figures | (_mmbench(answers, _read_static, "mmbench_en_dev_static") if language == "en" else {})


def _mmbench(answers: Sequence[Answered], otherwise: Callable[[Answered], str], name: str) -> Figures:
    groups, _ = group(answers)
    marks: dict[str, list[bool]] = defaultdict(list)
    for key in sorted(groups, key=int):
        main, hit = groups[key][0], _hit(groups[key], otherwise)
        marks[name].append(hit)
        if main.task != NO_CATEGORY:
            marks[f"{name} / category / {main.task}"].append(hit)
        if l2_category := main.details.get(L2_CATEGORY):
            marks[f"{name} / l2-category / {l2_category}"].append(hit)
    return {key: 100 * sum(hits) / len(hits) for key, hits in marks.items()}


def _hit(rows: Sequence[Answered], otherwise: Callable[[Answered], str]) -> bool:
    """Whether all rows are right. `otherwise` is asked as late and as seldom as there: its letters come in turn."""
    read = [read_mmbench(row) for row in rows]
    if any(letter and letter != row.label for letter, row in zip(read, rows, strict=True)):
        return False
    return all(letter or otherwise(row) == row.label for letter, row in zip(read, rows, strict=True))


def mmvet(answers: Sequence[Answered]) -> Figures:
    """The total that it prints, and capabilities and sets of its log, in percent; 0 where there is no question."""
    grades: dict[str, list[float]] = {name: [] for name in ("gpt_eval_score", *CAPABILITIES)}
    sets: dict[frozenset[str], list[float]] = {frozenset(name.split("_")): [] for name in _SETS}
    for answer in answers:
        own, grade = answer.details["capability"].split(","), grade_of(answer)
        for name in ("gpt_eval_score", *(name for name in own if name in CAPABILITIES)):
            grades[name].append(grade)
        sets.get(frozenset(own), []).append(grade)
    means = {name: _percent(found) for name, found in grades.items()}
    return means | {f"set / {name}": _percent(sets[frozenset(name.split("_"))]) for name in _SETS}


def _percent(grades: Sequence[float]) -> float:
    return 100 * math.fsum(grades) / len(grades) if grades else 0.0


def _ours_pope(record: ScoreRecord) -> Figures:
    splits = splits_of(record)
    tasks = {"pope": pooled(splits.values())} | {
        _POPE_TASKS[split]: values for split, values in splits.items() if split in _POPE_TASKS
    }
    names = {"pope_f1_score": "f1"} | {
        f"pope_{name}": name for name in ("accuracy", "precision", "recall", "yes_ratio")
    }
    return {f"{task} / {name}": values[own] for task, values in tasks.items() for name, own in names.items()}


def _ours_mmbench(record: ScoreRecord) -> Figures:
    ours = {"": record.number("circular")}
    for name, key in (("category", "circular_by_category"), ("l2-category", "circular_by_l2_category")):
        ours |= {f" / {name} / {part}": value for part, value in record.numbers(key).items()}
    tasks = ("mmbench_cn_dev without a judge", "mmbench_en_dev without a judge", "mmbench_en_dev_static")
    return {f"{task}{part}": 100 * value for task in tasks for part, value in ours.items()}


def _ours_mmvet(record: ScoreRecord) -> Figures:
    ours = {"gpt_eval_score": record.number("total")} | record.numbers("capability")
    ours |= {
        f"set / {name}": record.numbers("integration")[own]
        for name in _SETS
        if (own := "+".join(sorted(name.split("_")))) in record.numbers("integration")
    }
    return {name: 100 * value for name, value in ours.items()}


_CUT = "Thoughts in <think> and <analysis> tags are cut before anything is read; ours reads the whole answer."

BENCHMARKS = {
    "mme": Benchmark(
        mme,
        lambda record: (
            {f"mme_{name}_score": record.number(name) for name in GROUPS if name in record.figures}
            | tasks_of(record, "score")
        ),
        read_mme,
        (
            _CUT,
            "Full stops are dropped before the first four characters are read, and `y` and `n` alone count.",
        ),
    ),
    "pope": Benchmark(
        pope,
        _ours_pope,
        read_pope,
        (
            _CUT,
            "Only the bare words yes and no count: `Yes.` and `No, there is not` are neither, which is wrong for the "
            "accuracy but in no count of precision, recall and F1, so these can be high where the accuracy is low.",
            "Task `pope` pools the splits, where the headline here is the mean of three F1.",
            "pope_yes_ratio is the share of yes among the labels, not among the answers.",
        ),
    ),
    "seedbench": Benchmark(
        seedbench,
        lambda record: {"seed_image": record.headline.known},
        read_seedbench,
        (
            _CUT,
            "The first character is the answer, capitals aside: `Because` is B, `(B)` and `The answer is B` are none; "
            "no option's text is read.",
        ),
    ),
    "mmbench": Benchmark(
        mmbench,
        _ours_mmbench,
        read_mmbench,
        (
            _CUT,
            "E is a letter too, a letter counts with one sign around it (`B.`, `(B)`, not `**B**`), and a lone A among "
            "more than three words does not count.",
            "Missing options are the text `nan` in its table, so an answer with `banana` names two options or three.",
            "It asks a judge about the rest, which nothing here does. Where no judge can be reached it draws one of "
            f"A to E (seed {_SEED}); mmbench_en_dev_static looks for any letter instead. Ours never guesses.",
        ),
    ),
    "mmvet": Benchmark(
        mmvet,
        _ours_mmvet,
        None,
        (
            "The same grades give the same figures, from one run of the judge; its own judge reads another prompt, "
            "without examples, and its models are asked to reason first.",
            "A set of capabilities that is not among its 16 is left out.",
        ),
    ),
}
