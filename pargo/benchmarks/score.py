"""Stage `score`, and scores of official result files: pure functions of files; no model, and no torch, is needed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pargo.benchmarks.parts import load_graded_results, load_results, load_score, load_whole_results
from pargo.benchmarks.records import PREDICTIONS, Answered, read_predictions
from pargo.config.base import Positive, Settings
from pargo.config.benchmarks import BENCHMARKS, Benchmark
from pargo.errors import PargoError
from pargo.files import sha256_file, write_atomic
from pargo.layout import manifest_path
from pargo.manifest import verify

GRADES = "grades.json"
SAMPLES = 2000  # bootstrap draws where no config says otherwise


class ScoreSettings(Settings):
    """What the stage reads of the config."""

    benchmark: Benchmark
    bootstrap_samples: Positive


def run(settings: ScoreSettings, predictions: Path, output: Path, grades: Path | None = None) -> None:
    """Write the score of a predictions directory as JSON: see `score_answers`.

    Args:
        settings: see the class.
        predictions: directory of the answers.
        output: score file.
        grades: directory of a judge's grades, for a benchmark that needs them.

    Raises:
        PargoError: predictions that differ from their manifest, or that the benchmark cannot score.
    """
    inputs = [predictions, *([grades] if grades else [])]
    for directory in inputs:
        verify(directory)
    benchmark = settings.benchmark
    answers: Sequence[Answered] = read_predictions(predictions / PREDICTIONS)
    if grades:
        answers = load_graded_results(benchmark.kind).add_grades(answers, grades / GRADES)
    record = score_answers(benchmark.kind, answers, benchmark.parser, settings.bootstrap_samples)
    manifests = map(manifest_path, inputs)
    record["inputs"] = {manifest.as_posix(): sha256_file(manifest) for manifest in manifests}
    write_atomic(output, to_json(record))


def score_files(
    kind: str, inputs: Sequence[Path], parser: str | None = None, samples: int = SAMPLES, *, partial: bool = False
) -> dict[str, Any]:
    """The score of official result files, or of a predictions directory of ours.

    The record also has `notes`: sentences on what was taken of files that do not say all that they might.

    Args:
        kind: name of the benchmark.
        inputs: as its `results.read` takes them, or one directory that holds `predictions.jsonl`.
        parser: one of its parsers; by default its first, the official one.
        samples: bootstrap draws.
        partial: accept files that hold a part of the benchmark.

    Raises:
        PargoError: unknown benchmark or parser, or files that cannot be scored; names file and line.
    """
    scorer = load_score(kind)
    parser = parser or next(iter(scorer.PARSERS))
    check_parser(kind, parser)
    notes: list[str] = []
    if len(inputs) == 1 and (inputs[0] / PREDICTIONS).is_file():
        files = [inputs[0] / PREDICTIONS]
        answers: Sequence[Answered] = read_predictions(files[0])
        if BENCHMARKS.settings(kind).whole and not partial:
            load_whole_results(kind).check_complete(answers, str(files[0]))
    else:
        for path in inputs:
            if not path.exists():
                raise PargoError(f"{path} does not exist")
        answers = load_results(kind).read(inputs, parser=parser, partial=partial, notes=notes)
        files = [file for path in inputs for file in (sorted(path.glob("*")) if path.is_dir() else [path])]
    record = score_answers(kind, answers, parser, samples)
    record["inputs"] = {path.as_posix(): sha256_file(path) for path in files if path.is_file()}
    record["notes"] = notes
    return record


def score_answers(kind: str, answers: Sequence[Answered], parser: str, samples: int) -> dict[str, Any]:
    """The score record of answers, without its `inputs` {file: sha256}.

    Keys: `benchmark` (kind), `parser`, `parser_version`, `asked` {task: hash}: see `asked`,
    `headline` {name, rule, value, interval, maximum, num_questions, num_images},
    `tasks` {task: {score, accuracy, accuracy_plus, interval, num_questions, num_images, unparseable}},
    `figures` {name: number, or names and numbers: whatever else the official tool prints}, `counts` {name: number},
    `baselines` {name: {value, interval?, how}}, `correct` {task: {image: [0 to 1 for each question]}},
    `values` {task: {image: [numerator, denominator]}}: a task's score is the ratio of their sums over images; the
    headline is, by its `rule`, the `sum` or the `mean` of the tasks' scores, or the ratio over all tasks (`pooled`).
    A benchmark that comes in several editions has `edition` {part: value, or `unknown`}.
    Intervals hold 95 % and are a bootstrap by image. Where nothing is graded, value and interval are null.

    Raises:
        PargoError: unknown benchmark or parser, or answers that the benchmark cannot score.
    """
    scorer = load_score(kind)
    check_parser(kind, parser)
    record = scorer.score(answers, parser, samples)
    return {
        "benchmark": kind,
        "parser": parser,
        "parser_version": scorer.PARSERS[parser],
        "asked": asked(answers),
        **record,
    }


def asked(answers: Sequence[Answered]) -> dict[str, str]:
    """For each task a hash of its questions' labels (ids where there is none), image by image in the order given.

    Marks of two runs belong together by their place: the labels tell when the places are others. Wordings do not count,
    since two runs may be asked by different prompts.
    """
    labels: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        labels[answer.task][answer.image].append(answer.label or answer.id)
    return {
        task: hashlib.sha256(json.dumps(sorted(images.items())).encode()).hexdigest()
        for task, images in sorted(labels.items())
    }


def check_parser(kind: str, parser: str) -> None:
    """Raise PargoError when the benchmark has no parser of this name."""
    parsers = load_score(kind).PARSERS
    if parser not in parsers:
        raise PargoError(f"{kind} has no parser {parser!r}; choices: {', '.join(parsers)}")


def to_json(record: Mapping[str, Any]) -> str:
    """A record as text, the same for the same record."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
