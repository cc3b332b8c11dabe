"""The score stage: a pure function of the predictions file, light, and with a way back to the model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from pargo.benchmarks import answer_modules, load, score_modules
from pargo.benchmarks.records import PREDICTIONS, Prediction, read_predictions, write_predictions
from pargo.benchmarks.scores.score import ScoreSettings, run, score_files, to_json
from pargo.benchmarks.scores.score_file import read_score
from pargo.benchmarks.scores.score_record import groups_of
from pargo.code import import_closure
from pargo.config.base import canonical_json
from pargo.config.benchmarks import BENCHMARKS, part
from pargo.config.experiment import load_config
from pargo.errors import PargoError
from pargo.estimates import difference
from pargo.files import sha256_file
from pargo.graph.stage_settings import score as stage_settings
from pargo.layout import manifest_path
from pargo.manifest import publish
from pargo.statistics import total

CONFIG = load_config("config/quick.yaml")


def settings(benchmark: str) -> ScoreSettings:
    return ScoreSettings.model_validate_json(canonical_json(stage_settings(CONFIG, benchmark)))


def prediction(number: int, **changes: str) -> Prediction:
    fields = {
        "id": f"count/{number}",
        "task": "count",
        "image": f"count/{number // 2}.png",
        "image_sha256": "0" * 64,
        "question": "Are there two?",
        "prompt": "Are there two?",
        "label": ("Yes", "No")[number % 2],
        "answer": "yes",
        "parsed": "yes",
    }
    return Prediction(**(fields | changes))


@pytest.fixture
def predictions(tmp_path, monkeypatch):
    """Six answers to the questions of three images, published as the evaluate stage does."""
    monkeypatch.chdir(tmp_path)
    directory = Path("predictions")
    with publish(directory, settings={}) as folder:
        write_predictions(folder / PREDICTIONS, [prediction(number) for number in range(6)])
    return directory


def test_writes_the_record_and_the_same_bytes_again(predictions, tmp_path):
    first, second = tmp_path / "a" / "mini_mme.json", tmp_path / "b.json"
    run(settings("mini_mme"), predictions, first)
    run(settings("mini_mme"), predictions, second)
    assert first.read_bytes() == second.read_bytes()
    record = read_score(first).record
    assert record.benchmark == "mini_mme"
    assert record.headline.value == record.baselines["constant_answer"].value == 50
    manifest = manifest_path(predictions)
    assert record.inputs == {manifest.as_posix(): sha256_file(manifest)}


def test_records_can_be_compared(predictions, tmp_path):
    output = tmp_path / "score.json"
    run(settings("mini_mme"), predictions, output)
    record = read_score(output).record
    assert total(record.groups(None)) == record.headline.value
    assert total(record.groups("count")) == record.tasks["count"].score
    assert difference([record.groups(None)], [record.groups(None)], 10).value == 0


def test_changed_predictions_are_refused(predictions, tmp_path):
    (predictions / PREDICTIONS).write_text("{}\n")
    with pytest.raises(PargoError, match=r"predictions\.jsonl: changed"):
        run(settings("mini_mme"), predictions, tmp_path / "score.json")
    assert not (tmp_path / "score.json").exists()


def test_predictions_survive_their_file(tmp_path):
    nasty = ["", "a\nb", "\u2028", "\x85\x0b", '"\\', "\t", "🙂", "null"]
    rows = [prediction(number, answer=answer) for number, answer in enumerate(nasty)]
    write_predictions(tmp_path / PREDICTIONS, rows)
    assert read_predictions(tmp_path / PREDICTIONS) == rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"jsonl:2: not a prediction: line: Invalid JSON"),
        ("", r"jsonl:2: not a prediction: line: Invalid JSON"),
        ('{"id": 1}', r"jsonl:2: not a prediction: id: Input should be a valid string"),
        (prediction(1).model_dump_json()[:-1] + ',"extra":1}', r"jsonl:2: not a prediction: extra: "),
        (prediction(0).model_dump_json(), r"jsonl:2: question 'count/0' twice"),
    ],
)
def test_a_bad_line_is_refused(tmp_path, line, message):
    path = tmp_path / PREDICTIONS
    path.write_text(prediction(0).model_dump_json() + "\n" + line + "\n")
    with pytest.raises(PargoError, match=message):
        read_predictions(path)


def test_no_predictions(tmp_path):
    path = tmp_path / PREDICTIONS
    with pytest.raises(PargoError, match="cannot read predictions"):
        read_predictions(path)
    path.touch()
    with pytest.raises(PargoError, match="holds no predictions"):
        read_predictions(path)


@pytest.mark.parametrize("kind", BENCHMARKS.names)
def test_settings_name_the_parsers_and_presets_that_are_there(kind):
    fields = BENCHMARKS.settings(kind).model_fields
    assert get_args(fields["parser"].annotation) == tuple(load(kind, "score").PARSERS)
    assert set(get_args(fields["prompt"].annotation)) <= load(kind, "prompt").PRESETS.keys()


def test_unknown_benchmark_and_parser(predictions):
    with pytest.raises(
        PargoError, match="unknown benchmark 'mmme'; choices: details, easy_vqa, mini_mme, mmbench, mme"
    ):
        score_files("mmme", [predictions])
    with pytest.raises(PargoError, match="mini_mme has no parser 'exact'; choices: official, pargo_release"):
        score_files("mini_mme", [predictions], "exact")


def test_a_predictions_directory_scores_like_the_stage(predictions, tmp_path):
    run(settings("mini_mme"), predictions, tmp_path / "score.json")
    record = score_files("mini_mme", [predictions], samples=CONFIG.report.bootstrap_samples)
    path = predictions / PREDICTIONS
    assert record.inputs == {path.as_posix(): sha256_file(path)}
    assert record.notes == ()
    stage = json.loads((tmp_path / "score.json").read_text())
    stage.pop("inputs")
    found = json.loads(to_json(record))
    assert (found.pop("inputs"), found.pop("notes")) == (record.inputs, [])
    assert found == stage


VALUES = {"a": {"1": [1.0, 2.0], "2": [0.0, 1.0]}, "b": {"1": [1.0, 1.0]}}


@pytest.mark.parametrize(("rule", "expected"), [("sum", 1 / 3 + 1), ("mean", (1 / 3 + 1) / 2), ("pooled", 2 / 4)])
def test_a_headline_is_the_sum_or_mean_of_tasks_or_pools_them(rule, expected):
    assert total(groups_of(VALUES, rule)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", BENCHMARKS.names)
def test_imports_neither_torch_nor_pandas_nor_images(kind):
    heavy = ("torch", "pandas", "pyarrow", "transformers", "matplotlib", "scipy", "openpyxl", "openai", "PIL")
    parts = ", ".join([*score_modules(kind), part(kind, "results")])
    code = f"import sys, {parts}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_score_is_no_part_of_evaluation_and_knows_no_model():
    evaluate = {path.as_posix() for path in import_closure(*answer_modules("mini_mme"))}
    # nor of an import of official files, or else a change of a score would ask the models again
    official = {path.as_posix() for path in import_closure("pargo.sources.makers.official", *answer_modules("mme"))}
    for path in evaluate | official:
        assert not path.startswith(("pargo/report/", "pargo/benchmarks/scores/", "pargo/statistics"))
        assert not path.endswith("/score.py")
    packages = {kind: BENCHMARKS.settings(kind).package or kind for kind in BENCHMARKS.names}
    for kind, package in packages.items():
        score = {path.as_posix() for path in import_closure(*score_modules(kind))}
        assert not {path for path in score if path.startswith("pargo/models/")}
        others = set(packages.values()) - {package}
        assert not {path for path in score if path.startswith("pargo/benchmarks/") and path.split("/")[2] in others}
