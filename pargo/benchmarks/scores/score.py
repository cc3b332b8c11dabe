"""Stage `score`, and scores of official result files: pure functions of files; no model, and no torch, is needed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pargo.benchmarks.parts import load_graded_results, load_results, load_whole_results
from pargo.benchmarks.records import PREDICTIONS, Answered, read_predictions
from pargo.benchmarks.scores.rule import load_score
from pargo.benchmarks.scores.score_record import Result, ScoreRecord
from pargo.config.base import Positive, Settings
from pargo.config.benchmarks import BENCHMARKS, Benchmark
from pargo.config.report import DRAWS
from pargo.errors import PargoError
from pargo.files import sha256_file, write_atomic
from pargo.layout import manifest_path
from pargo.manifest import verify

GRADES = "grades.json"


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
    hashes = {manifest.as_posix(): sha256_file(manifest) for manifest in manifests}
    write_atomic(output, to_json(record.model_copy(update={"inputs": hashes})))


def score_files(
    kind: str, inputs: Sequence[Path], parser: str | None = None, samples: int = DRAWS, *, partial: bool = False
) -> ScoreRecord:
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
    hashes = {path.as_posix(): sha256_file(path) for path in files if path.is_file()}
    return record.model_copy(update={"inputs": hashes, "notes": tuple(notes)})


def score_answers(kind: str, answers: Sequence[Answered], parser: str, samples: int) -> ScoreRecord:
    """The score record of answers, without its `inputs`.

    Raises:
        PargoError: unknown benchmark or parser, or answers that the benchmark cannot score.
    """
    scorer = load_score(kind)
    check_parser(kind, parser)
    result: Result = scorer.score(answers, parser, samples)
    given = {name: getattr(result, name) for name in result.model_fields_set}  # what is not given is not written
    version = scorer.PARSERS[parser]
    return ScoreRecord(benchmark=kind, parser=parser, parser_version=version, asked=asked(answers), **given)


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


def to_json(record: ScoreRecord | Mapping[str, Any]) -> str:
    """A record as text, the same for the same record; of a score record the fields that were given."""
    data = record.model_dump(exclude_unset=True) if isinstance(record, ScoreRecord) else record
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
