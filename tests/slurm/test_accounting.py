"""The same launcher on a SLURM that keeps accounts: what it says of a job is what the database says."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from pargo.jobs.record import JobRecord
from tests.helpers import slurm_accounting as accounting
from tests.helpers.launchers import Launchers
from tests.helpers.private_slurm import missing_programs as missing_slurm
from tests.helpers.private_slurm import wait_until


def free_port() -> int:
    """On loopback."""
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return attempt.getsockname()[1]


@pytest.fixture
def accounts(monkeypatch) -> Iterator[accounting.AccountingCluster]:
    if missing := missing_slurm() + accounting.missing_programs():
        pytest.skip(f"no accounting here ({', '.join(missing)} missing): apt-get install slurmdbd mariadb-server")
    cluster = accounting.AccountingCluster(free_port(), free_port())
    try:
        cluster.start()
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, cluster.environment[name])
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.parametrize(
    ("settings", "state", "code"), [({}, "COMPLETED", 0), ({"fail": "bug"}, "FAILED", 1)], ids=["good", "bad"]
)
def test_what_the_launcher_says_is_what_the_accounts_say(accounts, tmp_path, settings, state, code):
    launchers, go = Launchers(tmp_path, defaults={"max_failures": 0}), tmp_path / "go"
    kwargs = {"settings": settings, "output": tmp_path / "out", "trace": tmp_path / "trace", "wait_for": go}
    try:
        launcher = launchers.start("tests.helpers.toy_stage", kwargs)
        wait_until(kwargs["trace"].exists, 60, "the job")
        job_id = JobRecord.read(launchers.root / "runs/toy").job_id
        wait_until(lambda: accounts.accounted(job_id)[:1] == ["RUNNING"], 30, "the account of a running job")
        go.touch()
        assert launcher.wait(60) == code, launchers.log()
    finally:
        launchers.stop()
    assert kwargs["output"].is_dir() == (code == 0)
    wait_until(lambda: accounts.accounted(job_id)[:1] == [state], 30, "the account of the ended job")
