"""`pargo status`, `why` and `accept` on a finished run: what would run, in words, and what a person vouches for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pargo.layout import Layout
from pargo.manifest import RUN_RECORD
from tests.helpers.workflow_project import Project

MICRO = ("--config", "config/micro.yaml")
LOOP = "pargo/train/loop.py"


@pytest.fixture
def accepted(project: Project) -> Iterator[Path]:
    file = project.root / "reports/micro/accepted.json"
    yield file
    file.unlink(missing_ok=True)


def status(project: Project, config: str = "config/micro.yaml") -> list[str]:
    return project.pargo("status", "--config", config).stdout.splitlines()


def test_a_finished_run_is_one_line(project: Project) -> None:
    assert status(project) == ["31 jobs: 31 up to date"]
    every = project.pargo("status", "--all", *MICRO).stdout.splitlines()
    assert len(every) == 32
    assert every[-1] == "  up to date  report_page"
    done = project.pargo("why", "report_page", *MICRO)
    assert done.stdout == "report_page: up to date\n"


def test_a_setting_is_named_with_its_values_and_what_follows(project: Project) -> None:
    variant = project.variant("rank", base__finetune__lora__rank=3)
    head, *lines = status(project, variant)
    by_state = {state: [line for line in lines if line.strip().startswith(state)] for state in ("would run", "may run")}
    assert head == f"31 jobs: 14 up to date, {len(by_state['would run'])} would run, {len(by_state['may run'])} may run"
    first = by_state["would run"][0]
    assert first.startswith("  would run   finetune-pargo-seed-0: made with other settings: ")
    assert "train.lora.rank: " in first
    assert ", now 3" in first
    assert "(took " in first
    chain = project.pargo("why", "score-pargo-seed-0-mini_mme", "--config", variant).stdout.splitlines()
    assert chain[0].startswith("score-pargo-seed-0-mini_mme: may run: if evaluate-pargo-seed-0-mini_mme comes out diff")
    assert any(line.startswith("    finetune-pargo-seed-0: would run: made with other settings") for line in chain)


def test_a_job_that_there_is_not(project: Project) -> None:
    done = project.pargo("why", "finetune-mlp", *MICRO, check=False)
    assert done.returncode == 2
    assert "there is no job 'finetune-mlp'" in done.stderr


def test_code_is_named_by_its_files(project: Project) -> None:
    with project.edited(LOOP):
        told = next(line for line in status(project) if "finetune-qformer" in line)
    assert told.startswith(f"  would run   finetune-qformer-seed-0: made by other code: {LOOP}")


def test_an_accepted_change_of_code_is_on_record_and_the_next_one_is_told(project: Project, accepted: Path) -> None:
    with project.edited(LOOP, "\nA_CHANGE = 1\n"):
        done = project.pargo("accept", "*train-*", "--reason", "a constant nobody reads", *MICRO)
        assert "accepted: pretrain-pargo-seed-0" in done.stdout
        project.pargo("accept", "finetune-*", "--reason", "a constant nobody reads", *MICRO)
        _, *lines = status(project)
        assert not [line for line in lines if "train-" in line or "finetune" in line]
        row = json.loads(accepted.read_text())[0]
        assert row.keys() == {"job", "output", "from", "to", "reason", "when"}
        assert row["reason"] == "a constant nobody reads"
        done = project.reproduce()
        assert "done   report page" in done.stderr
        assert "pretrain" not in done.stderr
        assert "a constant nobody reads" in (project.root / "reports/micro/index.html").read_text()
    with project.edited(LOOP, "\nA_CHANGE = 2\n"):
        assert any("made by other code" in line for line in status(project))
    assert "finetune-pargo-seed-0" not in "".join(status(project))  # the code that made it is there again


def test_only_a_change_of_code_can_be_accepted(project: Project, accepted: Path) -> None:
    done = project.pargo("accept", "finetune-*", "--reason", "x", *MICRO, check=False)
    assert done.returncode == 1
    assert "nothing to accept, only a change of code can be: finetune-pargo-seed-0: up to date" in done.stderr
    variant = project.variant("rank", base__finetune__lora__rank=3)
    done = project.pargo("accept", "finetune-*", "--reason", "x", "--config", variant, check=False)
    assert done.returncode == 1
    assert "made with other settings" in done.stderr
    with project.edited(LOOP):
        done = project.pargo("accept", "finetune-*", "--reason", " ", *MICRO, check=False)
        assert done.returncode == 2
        assert "--reason: say why" in done.stderr
    assert not accepted.exists()


def test_other_versions_of_packages_are_told(project: Project) -> None:
    file = Layout("micro", project.root).model("pargo", 0, "finetune") / RUN_RECORD
    before = file.read_bytes()
    record = json.loads(before)
    now, record["versions"]["torch"] = record["versions"]["torch"], "0.1"
    file.write_text(json.dumps(record))
    try:
        told = status(project)
    finally:
        file.write_bytes(before)
    assert told[-1] == f"  1 artifact was computed with torch 0.1, now {now}"
