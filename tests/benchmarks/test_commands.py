"""`pargo score`, `compare` and `judge` as a person calls them: files in, numbers out, one clear line for a fault."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pargo.files import sha256_file
from tests.helpers.command_line import call


def pargo(*arguments: str | Path, columns: str = "100") -> subprocess.CompletedProcess[str]:
    return call(*arguments, variables={"PATH": "/usr/bin:/bin", "COLUMNS": columns})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """MME results of two tasks: all right, and half right."""
    folder = tmp_path / "results"
    folder.mkdir()
    for task, answers in (("existence", ("Yes", "No")), ("count", ("yes", "yes"))):
        lines = [
            f"{image}.png\tIs it?\t{label}\t{answer}\n"
            for image in range(3)
            for label, answer in zip(("Yes", "No"), answers, strict=True)
        ]
        (folder / f"{task}.txt").write_text("".join(lines))
    return folder


def test_score_as_json(results: Path) -> None:
    done = pargo("score", "mme", results, "--partial", "--json", "--samples", "100")
    record = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert record["headline"]["value"] == 200 + 50
    assert record["headline"]["interval"] == [250, 250]
    assert (record["parser"], record["parser_version"]) == ("official", 1)
    assert record["tasks"]["count"] | {"score": 50.0, "accuracy": 0.5, "accuracy_plus": 0.0} == record["tasks"]["count"]
    assert record["inputs"] == {path.as_posix(): sha256_file(path) for path in sorted(results.iterdir())}


@pytest.mark.parametrize("columns", ["80", "200"])
def test_score_on_the_terminal(results: Path, columns: str) -> None:
    done = pargo("score", "mme", results, "--partial", "--parser", "pargo_release", columns=columns)
    assert done.returncode == 0, done.stderr
    assert "mme, parser pargo_release (version 1): total score 250 of 400" in done.stdout
    assert "existence" in done.stdout
    assert "perception: 250" in done.stdout
    words = " ".join(done.stdout.split())
    assert "existence: all 3 images scored alike, so the interval has no width; of other images up to 63.2%" in words
    assert max(map(len, done.stdout.splitlines())) <= int(columns)


def test_notes_on_what_was_taken(results: Path) -> None:
    (results / "score[1].txt").write_text("450")
    done = pargo("score", "mme", results, "--partial", columns="300")
    assert done.returncode == 0, done.stderr
    assert f"Note: {results}: left alone, as no task of MME has the name: score[1].txt.\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mme", "{results}"), "--partial"),
        (("mme", "nowhere"), "nowhere does not exist"),
        (
            ("mmme", "{results}"),
            "NAME: 'mmme' is not known; did you mean 'mme'?; choices: details, easy_vqa, mini_mme",
        ),
        (("mme", "{results}", "--parser", "exact"), "mme has no parser 'exact'; choices: official, pargo_release"),
        (("predictions", "{results}"), "takes one directory, --settings and --output"),
    ],
)
def test_what_cannot_be_scored_is_one_line(results: Path, arguments: tuple[str, ...], message: str) -> None:
    done = pargo("score", *(argument.format(results=results) for argument in arguments))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_compare(results: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    pargo("score", "mme", results, "--partial", "--samples", "50", "--output", files[0])
    text = results / "count.txt"
    text.write_text(text.read_text().replace("No\tyes", "No\tno"))
    pargo("score", "mme", results, "--partial", "--samples", "50", "--output", files[1])
    done = pargo("compare", *files)
    assert done.returncode == 0, done.stderr
    assert "mme: count" in done.stdout
    assert "-150.00" in done.stdout
    record = json.loads(pargo("compare", *files, "--json").stdout)
    row = next(row for row in record["rows"] if row["task"] == "count")
    assert (row["value_a"], row["value_b"], row["difference"]) == (50, 200, -150)
    assert row["mcnemar"]["only_b"] == 3


def test_judge_without_a_key_says_which_variable(tmp_path: Path) -> None:
    meta, results = tmp_path / "mm-vet.json", tmp_path / "results.json"
    entry = {"imagename": "v1_0.png", "question": "What?", "answer": "a cat", "capability": ["rec"]}
    meta.write_text(json.dumps({"v1_0": entry}))
    results.write_text(json.dumps({"v1_0": "a dog"}))
    options = ("--base-url", "http://127.0.0.1:9/v1", "--model", "m")
    done = pargo("judge", meta, results, tmp_path / "grades.json", *options)
    assert done.returncode == 1
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "grades.json").exists()
