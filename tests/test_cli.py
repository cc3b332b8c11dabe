"""The command line: quick to start, clear errors with the right exit code, and the options that the rules use."""

import importlib
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pargo import cli
from pargo.code import ROOT
from pargo.errors import PargoError
from pargo.versioning.graph import Job, list_jobs

STAGES = (
    "download",
    "fingerprint",
    "select",
    "caption",
    "filter",
    "features",
    "pretrain",
    "finetune",
    "evaluate",
    "attention",
    "grade",
    "score",
    "report",
)


def pargo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pargo", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_help_is_fast_and_lists_the_stages() -> None:
    started = time.monotonic()
    done = pargo("--help")
    assert time.monotonic() - started < 3  # 0.2 s on a free core
    assert done.returncode == 0
    for stage in ("reproduce", *STAGES):
        assert stage in done.stdout


def test_start_imports_nothing_heavy() -> None:
    code = "import sys, pargo.cli; print(*{'torch', 'snakemake', 'dvc', 'pandas', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout.strip() == ""


def test_config_check() -> None:
    done = pargo("config", "check", "config/micro.yaml")
    assert done.returncode == 0
    assert "ok" in done.stdout


@pytest.mark.parametrize("command", [("config", "check"), ("reproduce", "--config")])
def test_bad_config_exits_with_2_before_anything_runs(command: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text((ROOT / "config/micro.yaml").read_text().replace("name: micro", "name: bad\nseed: [1]"))
    done = pargo(*command, str(path))
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "seed: unknown key; did you mean 'seeds'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (ROOT / "runs/bad").exists()


def test_package_that_is_not_in_the_source_table(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text((ROOT / "config/micro.yaml").read_text().replace("sources:\n", "sources:\n  x: {kind: wheel}\n"))
    done = pargo("config", "check", str(path))
    assert done.returncode == 2
    assert "sources.x: no package of pargo/data/versions.yaml; choices: easy_vqa" in done.stderr


def test_expected_failure_is_one_line_and_exits_with_1(tmp_path: Path) -> None:
    arguments = ("--settings", "{}", "--predictions", str(tmp_path), "--output", str(tmp_path / "x"))
    done = pargo("grade", *arguments, "--run-directory", str(tmp_path / "run"))
    assert done.returncode == 2  # of other settings
    settings = '{"judge": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}'
    done = pargo("grade", "--settings", settings, *arguments[2:], "--run-directory", str(tmp_path / "run"))
    assert done.returncode == 1  # no answers are there
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("pairs", "message"), [(["a"], "NAME=DIR"), (["=b"], "NAME=DIR"), (["a=b", "a=c"], "twice")])
def test_named_directories_are_checked(pairs: list[str], message: str) -> None:
    with pytest.raises(PargoError, match=message):
        cli._named(pairs)


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    """One job of each rule, the last of it."""
    return {job.rule: job for job in list_jobs(ROOT / "config/micro.yaml")}


def test_rules_commands_and_stages_have_one_name(jobs: dict[str, Job]) -> None:
    assert {rule.partition("_")[0] for rule in jobs} == set(STAGES) - {"grade"}  # micro has no judge
    for rule, job in jobs.items():
        name = {"score": "score predictions"}.get(rule, rule.replace("_", " "))
        assert job.command.startswith(f"python -m pargo {name} --settings ")


REPORT = ("report_captions", "report_tables", "report_figures", "report_page")


@pytest.mark.parametrize("rule", [*STAGES[:-3], "score", *REPORT])
def test_command_of_a_rule_is_a_call_that_its_stage_takes(
    rule: str, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = []
    monkeypatch.setattr(cli, "_run", lambda module, settings, **paths: calls.append((module, settings, paths)))
    monkeypatch.setattr(
        cli, "_launch", lambda stage, function, settings, paths, *_: calls.append((function, settings, paths))
    )
    monkeypatch.setattr(cli, "_check", lambda *_: None)  # the files are not there
    elements: list[dict[str, Any]] = []
    monkeypatch.setattr("pargo.jobs.launcher.launch_array", lambda function, given, **_: elements.extend(given))
    job = jobs[rule]
    CliRunner().invoke(cli.app, shlex.split(job.command)[3:], catch_exceptions=False)
    ((function, settings, paths),) = calls
    if rule == "evaluate":  # of the arm that has shards
        shards = set(importlib.import_module("pargo.benchmarks.evaluate").answer.__annotations__) - {"return"}
        assert [set(element) for element in elements] == [shards, shards]
        assert [element["run_directory"] / "answers.jsonl" for element in elements] == paths["answers"]
    module, _, name = function.partition(":")
    stage = importlib.import_module(module)
    parsed = cli._parse(stage, settings)
    assert json.loads(parsed.model_dump_json()) == json.loads(settings)  # the stage declares exactly these fields
    parameters = set(getattr(stage, name or "run").__annotations__) - {"settings", "return"}
    assert set(paths) <= parameters
    # every path that the stage reads is an input of the rule
    for path in re.findall(r"(?:artifacts|reports)/micro/\S+", job.command.split("' ", 1)[1]):
        known = {*job.inputs, *job.outputs}
        assert path in known or any(other.startswith(f"{path}/") for other in known), path


def test_settings_of_another_stage_are_refused() -> None:
    done = pargo("download", "--settings", '{"id":"x"}', "--output", "nowhere", "--run-directory", "nowhere")
    assert done.returncode == 2
    assert "--settings are no DownloadSettings: source: required but not given" in done.stderr
    assert "Traceback" not in done.stderr
