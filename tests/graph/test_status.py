"""Which jobs run now; what `pargo status` prints is in tests/workflow/test_status.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pargo.graph import status
from pargo.layout import Layout


@pytest.mark.parametrize(
    ("stage", "arm", "expected"),
    [
        ("pretrain", "pargo seed-0", "pretrain-pargo-seed-0"),
        ("evaluate", "pargo seed-0 mme", "evaluate-pargo-seed-0-mme"),
        ("evaluate", "pargo seed-0 mme 3", "evaluate-pargo-seed-0-mme"),
        ("caption", "scenes 0", "caption-scenes"),
    ],
)
def test_a_job_runs_while_a_shard_does(monkeypatch: pytest.MonkeyPatch, stage: str, arm: str, expected: str) -> None:
    jobs = [SimpleNamespace(stage=stage, arm=arm, alive=alive) for alive in (True, False)]
    monkeypatch.setattr(status, "find_jobs", lambda runs: jobs)
    assert status.running_jobs(Layout("micro")) == {expected}
    jobs[0].alive = False
    assert status.running_jobs(Layout("micro")) == frozenset()
