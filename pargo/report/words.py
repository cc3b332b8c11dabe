"""Names as a reader says them: what the config calls `qformer` is a Q-Former."""

from __future__ import annotations

from collections import Counter

from pargo.config.benchmarks import BENCHMARKS, Benchmark
from pargo.report.settings import ReportSettings

TASKS = {
    "existence": "Existence",
    "count": "Count",
    "position": "Position",
    "color": "Color",
    "OCR": "OCR",
    "yes_no": "Yes or no",
}

# what a measure of a table by task is
MEASURES = {
    "precision": "Precision: of what is said, the share that is right; unknown where nothing is said. F1 weighs "
    "precision and recall alike. What is said in other names than those of these images' annotations is never counted.",
    "recall": "Recall: of what is there, the share that is said.",
    "loss": "Loss: cross entropy of the words of the right answer that say such facts, after the right words before "
    "them; less is better.",
}


# what a benchmark asks, for readers of the page; those of MME's form are explained by their scoring
ABOUT = {
    "details": "facts of captions that models write of new images, before fine-tuning: F1 of what is said and what is "
    "there, the mean over kinds of facts",
    "easy_vqa": "questions about small images of one colored shape, with one word as the answer; scored by exact match",
}


def asked_model(benchmark: Benchmark) -> str:
    """Behind a benchmark's name, which models were asked, unless they are those after fine-tuning."""
    return "" if benchmark.asked_model == "finetune" else ", models after pretraining"


def in_words(name: str) -> str:
    """`constant_answer` -> `Constant answer`; abbreviations in capitals stay."""
    text = name.replace("_", " ").replace("-", " ")
    return text if text.isupper() else text[:1].upper() + text[1:]


def task(name: str) -> str:
    return TASKS.get(name, in_words(name))


def benchmark_title(kind: str) -> str:
    """`mini-MME` of `mini_mme`; in words for one that there is no more."""
    return BENCHMARKS.settings(kind).title if kind in BENCHMARKS.names else in_words(kind)


def benchmark(settings: ReportSettings, name: str) -> str:
    """`mini-MME`; where a config has several of a kind, with what tells its name apart in brackets: `MME (release)`."""
    own = settings.benchmarks[name]
    same = sum(other.kind == own.kind for other in settings.benchmarks.values())
    return own.title + (f" ({rest})" if same > 1 and (rest := _beyond(own.kind, name)) else "")


def projectors(settings: ReportSettings) -> dict[str, str]:
    """The projector of each arm in words; where two would look the same, with what tells the arms' names apart."""
    words = {arm: projector.in_words() for arm, projector in settings.projectors.items()}
    seen = Counter(words.values())
    for own_part in (_beyond, _whole):  # `pargo_x` and `x` say the same beyond `pargo`
        parts = {arm: own_part(settings.projectors[arm].name, arm) for arm in words if seen[words[arm]] > 1}
        found = words | {arm: f"{words[arm]} ({part})" for arm, part in parts.items() if part}
        if len(set(found.values())) == len(found):
            break
    return found


def _beyond(kind: str, name: str) -> str:
    """What a name says beside the kind it begins with: `release` of `mme_release`, nothing of `mme`."""
    rest = name.removeprefix(kind)
    return _whole(kind, name if rest[:1] not in ("", "_", "-") else rest)


def _whole(kind: str, name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip()
