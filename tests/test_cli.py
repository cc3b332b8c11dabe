"""The command line: quick to start, clear errors with the right exit code, and the options that the rules use."""

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from pargo import __version__
from pargo.code import ROOT
from pargo.commands.application import app
from pargo.commands.names import PANELS, STAGE_COMMANDS
from pargo.config.experiment import parse_config
from pargo.graph.jobs import Job, jobs_of
from pargo.stages import STAGES


def pargo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pargo", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_help_is_fast_and_lists_the_commands_in_panels() -> None:
    started = time.monotonic()
    done = pargo("--help")
    assert time.monotonic() - started < 3  # 0.2 s on a free core
    assert done.returncode == 0
    for panel, names in PANELS.items():
        shown = done.stdout.partition(f"{panel}:\n")[2].partition("\n\n")[0]
        assert re.findall(r"^  (\S+)  ", shown, re.MULTILINE) == list(names)
    assert ", ".join(STAGE_COMMANDS) in " ".join(done.stdout.split())


def test_version() -> None:
    done = pargo("--version")
    assert (done.returncode, done.stdout) == (0, f"pargo {__version__}\n")
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("group", [(), ("config",), ("data",), ("versions",), ("report",)])
def test_a_group_without_a_command_shows_its_help(group: tuple[str, ...]) -> None:
    done = pargo(*group)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith(f"Usage: {' '.join(('pargo', *group))} [OPTIONS] COMMAND")


def test_every_command_is_loaded_by_its_name() -> None:
    context = click.Context(app)
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help
        assert command.hidden == (name in STAGE_COMMANDS)


# what may be loaded to say what is wrong; nothing else of ours or others
WRONG = {
    ("exprot", "a", "b"): set(),
    ("score", "nosuch", "x"): {"click"},
    ("config", "check", "nosuch.yaml"): {"click"},
    ("versions", "status", "--config", "nosuch"): {"click"},
    ("data", "ls", "--config", "nosuch"): {"click"},
    ("plan", "--gpu", "H900"): {"click"},
    ("reproduce", "--until", "nosuch"): {"click"},
    ("reproduce", "--profile", "nosuch"): {"click"},
    ("export", "nosuch", "out"): {"click"},
    ("logs", "nosuch", "x"): {"click"},
    ("download", "--settings", "{"): {"click"},
    ("filter", "--settings", "{}", "--source", "nosuch", "--captions", "x", "--output", "o", "--run-directory", "r"): {
        "click"
    },
    ("config", "check", "{broken}"): {"click", "yaml", "cython_runtime"},
}


@pytest.mark.parametrize("arguments", WRONG)
def test_a_wrong_call_loads_only_what_its_arguments_need(arguments: tuple[str, ...], tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    code = """
import runpy, sys
sys.argv = ["pargo", *sys.argv[1:]]
try:
    runpy.run_module("pargo", run_name="__main__")
except SystemExit as error:
    print(error.code, *sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""
    given = [part.format(broken=broken) if part == "{broken}" else part for part in arguments]
    done = subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    exit_code, *loaded = done.stdout.split()
    assert exit_code == "2", done.stderr
    found = {name for name in loaded if not name.startswith("_")} - {"pargo"}
    assert found <= WRONG[arguments]


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
    assert "sources.x: no package of pargo/fetch/downloads.yaml; choices: easy_vqa" in done.stderr


def test_expected_failure_is_one_line_and_exits_with_1(tmp_path: Path) -> None:
    arguments = ("--settings", "{}", "--predictions", str(tmp_path), "--output", str(tmp_path / "x"))
    done = pargo("grade", *arguments, "--run-directory", str(tmp_path / "run"))
    assert done.returncode == 2  # of other settings
    settings = '{"judge": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}'
    done = pargo("grade", "--settings", settings, *arguments[2:], "--run-directory", str(tmp_path / "run"))
    assert done.returncode == 1  # no answers are there
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def jobs() -> dict[str, Job]:
    """One job of each rule, the last of it, of micro with a warm-up."""
    data = yaml.safe_load((ROOT / "config/micro.yaml").read_text())
    data["language"]["warm_up"] = {"mixture": {"scenes": 1.0}, "num_samples": 8, "batch_size": 4}
    return {job.rule: job for job in jobs_of(parse_config(data))}


def test_rules_commands_and_stages_have_one_name(jobs: dict[str, Job]) -> None:
    assert set(jobs) == set(STAGES) - {"grade"}  # micro has no judge
    for rule, job in jobs.items():
        assert job.command.startswith(f"python -m pargo {STAGES[rule].command} --settings ")


@pytest.mark.parametrize("rule", sorted(set(STAGES) - {"grade"}))
def test_command_of_a_rule_is_a_call_that_its_stage_takes(
    rule: str, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr("pargo.jobs.run.run_stage", lambda *given, **named: calls.append((*given, named)))
    job, stage = jobs[rule], STAGES[rule]
    CliRunner().invoke(app, shlex.split(job.command)[3:], catch_exceptions=False)
    ((called, settings, inputs, output, named),) = calls
    assert called is stage
    assert settings == json.loads(job.settings)
    assert set(inputs) == {of.name for of in stage.inputs}
    assert all(inputs[of.name] for of in stage.inputs if not of.optional)
    assert set(named) == {
        *(["strict"] * (rule != "score")),
        *(["run_directory"] if stage.heavy or stage.keeps else []),
        *(["executor"] * stage.heavy),
        *(["found"] * stage.finds),
    }
    # every path that the stage reads or makes is of the rule
    for path in re.findall(r"(?:artifacts|reports)/micro/\S+", job.command.split("' ", 1)[1]):
        # not watched by DVC: what need not be there, and what is in an artifact
        known = {*job.inputs, *job.outputs, "reports/micro/accepted.json"} | set(map(str, job.paths))
        assert path in known or any(other.startswith(f"{path}/") for other in known), path
    assert any(made == str(output) or made.startswith(f"{output}/") for made in job.outputs)


def test_settings_of_another_stage_are_refused() -> None:
    done = pargo("download", "--settings", '{"id":"x"}', "--output", "nowhere", "--run-directory", "nowhere")
    assert done.returncode == 2
    assert "--settings: source: required but not given" in done.stderr
    assert "Traceback" not in done.stderr
