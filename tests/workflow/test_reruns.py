"""The contract of reruns: each change, alone on a finished run, makes exactly these jobs run (docs/reruns.md)."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pargo.config.base import Settings, canonical_json
from pargo.config.experiment import Config, load_config
from pargo.graph.jobs import jobs_of, makers
from pargo.graph.stage_settings import settings_of
from tests.helpers.reruns.asking import Asking
from tests.helpers.reruns.case import MICRO, Case, reads
from tests.helpers.reruns.table import CASES, DOCUMENT, document
from tests.helpers.workflow_project import ROOT, Project

CHECKED = (  # against Snakemake
    "`name`: another",
    "an arm more that equals another",
    "`sources.scenes.seed`: 7",
    "`base.pretrain.num_workers`: 1",
    "`report/figures.py`",
    "a comment in `train/loop.py`",
    "a model truncated",
    "`.snakemake` deleted",
)


@pytest.fixture(scope="module")
def warm(project: Project) -> Iterator[Asking]:
    with Asking(project.root, warm=True) as asking:
        yield asking


@pytest.fixture(scope="module")
def cold(project: Project) -> Iterator[Asking]:
    with Asking(project.root, warm=False) as asking:
        yield asking


@pytest.mark.parametrize("case", CASES, ids=[f"{case.section} - {case.change}" for case in CASES])
def test_what_runs_after_a_change(case: Case, project: Project, warm: Asking, cold: Asking) -> None:
    with case.make(project.root) as config:
        found = (cold if case.cold else warm).answer(config)
    states = {name: state for name, state, _ in found["jobs"]}
    assert {name: state for name, state in states.items() if state != "up to date"} == case.expected(states)
    if "torch" in case.change and not case.would:
        assert "  2 artifacts were computed with torch 0.0.1, now " in "\n".join(found["status"])


def test_the_changes_are_many_and_their_names_differ() -> None:
    assert len({(case.section, case.change) for case in CASES}) == len(CASES) >= 150


def test_after_all_changes_the_run_is_as_it_was(project: Project, cold: Asking) -> None:
    assert {state for _, state, _ in cold.answer(MICRO)["jobs"]} == {"up to date"}
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("change", CHECKED)
def test_snakemake_says_the_same(change: str, project: Project, cold: Asking) -> None:
    [case] = [case for case in CASES if case.change == change]
    with case.make(project.root) as config:
        states = {name: state for name, state, _ in cold.answer(config)["jobs"]}
        done = project.run("snakemake", "--configfile", config, "--dry-run")
    planned = set(re.findall(r"output: .*?runs/\w+/up_to_date/([\w-]+)", done.stdout + done.stderr))
    assert planned == {name for name, state in states.items() if state != "up to date"}


def test_what_each_job_reads_is_as_the_contract_says() -> None:
    jobs = jobs_of(load_config(ROOT / MICRO))
    names = [job.name for job in jobs]
    assert {name: set(before) for name, before in makers(jobs).items()} == {name: reads(name, names) for name in names}


def test_the_page_for_readers_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "python -m tests.helpers.reruns"


def test_every_field_of_a_config_is_in_the_settings_of_a_stage() -> None:
    config = load_config(ROOT / MICRO)
    jobs = [(job.rule, job.wildcards) for job in jobs_of(config)]
    before = all_settings(config, jobs)
    unread = {
        path
        for path in paths_of(config)
        if all(all_settings(with_value(config, path, new), jobs) == before for new in ("another", False))
    }
    # it says what counts as a change
    assert {".".join(path) for path in unread} == {"strict"}


def all_settings(config: Config, jobs: list[tuple[str, Mapping[str, str]]]) -> list[str]:
    """What jobs read of a config; an error where one notices the value first."""
    try:
        return [canonical_json(settings_of(config, rule, wildcards)) for rule, wildcards in jobs]
    except Exception as error:
        return [repr(error)]


def paths_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All fields of a config, down to single values; projectors that no arm names are in none."""
    items = {name: getattr(value, name) for name in type(value).model_fields} if isinstance(value, Settings) else value
    if isinstance(items, dict) and items:
        for name, item in items.items():
            if (*path, name) != ("projectors",):
                yield from paths_of(item, (*path, name))
    else:
        yield path


def with_value(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """A copy in which one field has another value, unchecked."""
    if not path:
        return new
    name, *rest = path
    if isinstance(value, Settings):
        return value.model_copy(update={name: with_value(getattr(value, name), tuple(rest), new)})
    return value | {name: with_value(value[name], tuple(rest), new)}


# Real runs ------------------------------------------------------------------------------------------------------------


def ran(text: str) -> tuple[set[str], set[str]]:
    """Stages that were done, and those that were restored, of what a run printed."""
    done, restored = (set(re.findall(rf"{word} +(\w+) ", text)) for word in ("done", "restored"))
    return done, restored


def test_an_edit_that_is_undone_is_restored(project: Project) -> None:
    file = project.root / MICRO
    before = file.read_text()
    arm = "qformer: {projector: qformer, "
    assert arm in before
    file.write_text(before.replace(arm, f"{arm}finetune: {{max_turns: 2}}, "))
    done, _ = ran(project.reproduce().stderr)
    assert {"finetune", "evaluate"} <= done
    assert "pretrain" not in done
    file.write_text(before)
    done, restored = ran(project.reproduce().stderr)
    assert not done & {"pretrain", "finetune", "evaluate", "attention"}
    assert {"finetune", "evaluate"} <= restored
    assert "everything was up to date" in project.reproduce().stderr


def test_two_configs_compute_what_they_share_once(project: Project) -> None:
    config = project.variant("second", name="second")
    done, restored = ran(project.pargo("reproduce", "--config", config, "--until", "pretrain").stderr)
    assert not done
    assert {"download", "caption", "filter", "features", "pretrain"} <= restored
    for top in ("artifacts", "runs", "reports"):
        shutil.rmtree(project.root / top / "second", ignore_errors=True)


def test_a_copy_elsewhere_is_up_to_date(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Project(project.root.with_name("elsewhere"))
    shutil.copytree(project.root, other.root, symlinks=True)
    shutil.rmtree(other.root / ".snakemake")
    for path in other.root.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (1e9, 1e9))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert not other.pending()
    assert "everything was up to date" in other.reproduce().stderr
    with other.edited("pargo/report/figures.py"):
        assert other.pending() == {"report_figures", "report_page"}
