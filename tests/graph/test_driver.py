"""How Snakemake is called."""

from __future__ import annotations

from types import SimpleNamespace

from pargo.code import ROOT
from pargo.graph.snakemake import call_snakemake


def test_no_timer_makes_the_scheduler_look_again_and_again(monkeypatch) -> None:
    """With a limit of jobs a second, each job that ends has it look once a second more, until the run ends."""
    seen: list[SimpleNamespace] = []
    monkeypatch.setattr("snakemake.cli.args_to_api", lambda args, parser: seen.append(args) or True)
    call_snakemake(ROOT / "config/micro.yaml", "--cores", "2")
    assert seen[0].max_jobs_per_timespan is None
