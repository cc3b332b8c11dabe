"""Jobs on a real SLURM: found again, never doubled, requeued and resumed, and each end told for what it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load, load_file

from pargo.jobs.record import Attempts, JobRecord
from tests.helpers.launchers import ROOT, Launchers
from tests.helpers.private_slurm import Cluster, wait_until
from tests.helpers.training_world import World


@pytest.fixture
def launchers(cluster: Cluster, tmp_path: Path) -> Iterator[Launchers]:
    started = Launchers(tmp_path)
    yield started
    started.stop()
    cluster.run("scancel", "--user", cluster.run("id", "-un").strip())
    wait_until(lambda: not cluster.run("squeue", "-h"), 30, "an empty queue")


@pytest.fixture
def kwargs(tmp_path: Path) -> dict:
    return {"settings": {}, "output": tmp_path / "out", "trace": tmp_path / "trace"}


def num_runs(kwargs: dict) -> int:
    return len(kwargs["trace"].read_text().splitlines()) if kwargs["trace"].exists() else 0


def job_of(launchers: Launchers, name: str = "toy") -> str:
    """Id of the job on record."""
    record = JobRecord.read(launchers.root / "runs" / name)
    return "" if record is None else record.job_id


def test_a_job_runs_to_its_end_and_its_log_is_shown(cluster, launchers, kwargs):
    before = set(cluster.jobs())  # the controller forgets old ones
    assert launchers.start("tests.helpers.toy_stage", kwargs).wait(60) == 0, launchers.log()
    assert kwargs["output"].is_dir()
    assert "started" in launchers.log()
    assert "finished" in launchers.log()
    assert len(set(cluster.jobs()) - before) == 1


def test_a_killed_launcher_leaves_the_job_and_the_next_attaches(cluster, launchers, kwargs, tmp_path):
    before = set(cluster.jobs())  # the controller forgets old ones
    kwargs["wait_for"] = tmp_path / "go"
    first = launchers.start("tests.helpers.toy_stage", kwargs)
    wait_until(lambda: num_runs(kwargs))
    first.kill()
    second = launchers.start("tests.helpers.toy_stage", kwargs)
    third = launchers.start("tests.helpers.toy_stage", kwargs)  # two at once: both wait for the one job
    wait_until(lambda: "attached" in launchers.log(1) and "attached" in launchers.log(2))
    kwargs["wait_for"].touch()
    assert (second.wait(60), third.wait(60)) == (0, 0)
    assert num_runs(kwargs) == 1
    assert len(set(cluster.jobs()) - before) == 1


@pytest.mark.parametrize(
    "before",
    [
        # sbatch has answered, and the job's pickle has not got its name
        "import submitit.core.utils as u; u.JobPaths.move_temporary_file = lambda *a, **k: os.kill(os.getpid(), 9)",
        # the job is complete, and its id is not on record
        "from pargo.jobs.slurm import Slurm; Slurm.started = lambda *a: os.kill(os.getpid(), 9)",
    ],
    ids=["before its pickle is named", "before its id is noted"],
)
def test_a_launcher_killed_between_submitting_and_noting(cluster, launchers, kwargs, before):
    jobs = set(cluster.jobs())
    assert launchers.start("tests.helpers.toy_stage", kwargs, before=before).wait(60) == -signal.SIGKILL
    assert job_of(launchers) == ""
    assert launchers.start("tests.helpers.toy_stage", kwargs).wait(60) == 0, launchers.log()
    assert "whose launcher was killed" in launchers.log()
    assert num_runs(kwargs) == 1
    assert len(set(cluster.jobs()) - jobs) == 1


def test_a_launcher_killed_before_submitting(cluster, launchers, kwargs):
    jobs = set(cluster.jobs())
    before = "from pargo.jobs.slurm import Slurm; Slurm.submit = lambda *a: os.kill(os.getpid(), 9)"
    assert launchers.start("tests.helpers.toy_stage", kwargs, before=before).wait(60) == -signal.SIGKILL
    assert launchers.start("tests.helpers.toy_stage", kwargs).wait(60) == 0, launchers.log()
    assert num_runs(kwargs) == 1
    assert len(set(cluster.jobs()) - jobs) == 1


def test_scancel_by_hand_is_told_and_not_tried_again(cluster, launchers, kwargs, tmp_path):
    launcher = launchers.start("tests.helpers.toy_stage", kwargs | {"wait_for": tmp_path / "never"})
    wait_until(lambda: num_runs(kwargs))
    job = job_of(launchers)
    cluster.run("scancel", job)
    assert launcher.wait(60) == 1
    assert "cancelled by hand (scancel)" in launchers.log()
    assert cluster.jobs()[job] == "CANCELLED"
    assert num_runs(kwargs) == 1


def test_a_job_that_exits_1_is_tried_as_often_as_said(cluster, launchers, kwargs):
    launchers.configure(defaults={"max_failures": 2})
    assert launchers.start("tests.helpers.toy_stage", kwargs | {"settings": {"fail": "bug"}}).wait(120) == 1
    assert num_runs(kwargs) == 3
    assert "failed: ValueError: a bug (3 times)" in launchers.log()
    assert "| line 49" in launchers.log()
    assert launchers.log().count("trying again") == 2


def test_an_expected_failure_is_not_tried_again(cluster, launchers, kwargs):
    launchers.configure(defaults={"max_failures": 2})
    assert launchers.start("tests.helpers.toy_stage", kwargs | {"settings": {"fail": "expected"}}).wait(60) == 1
    assert num_runs(kwargs) == 1
    assert "toy: the width must be even" in launchers.log()


@pytest.mark.parametrize("content", [b"", b"\x80\x05garbage", b"\x80\x04K\x01."])
def test_a_corrupt_result_costs_a_retry_and_no_output(cluster, launchers, kwargs, tmp_path, content):
    kwargs["wait_for"] = tmp_path / "go"
    launcher = launchers.start("tests.helpers.toy_stage", kwargs)
    wait_until(lambda: num_runs(kwargs))
    record = JobRecord.read(launchers.root / "runs/toy")
    (launchers.root / "runs/toy" / record.folder / f"{record.job_id}_0_result.pkl").write_bytes(content)
    wait_until(lambda: "trying again" in launchers.log())
    assert f"its result {record.job_id}_0_result.pkl" in launchers.log()
    cluster.run("scancel", record.job_id)  # it still runs; the next one waits for it
    wait_until(lambda: num_runs(kwargs) == 2)
    kwargs["wait_for"].touch()
    assert launcher.wait(60) == 0, launchers.log()
    assert kwargs["output"].is_dir()


# A training, to whom the cluster does everything it can ---------------------------------------------------------------

STEPS = 120


@pytest.fixture(scope="session")
def alone(world, tmp_path_factory) -> dict[str, bytes]:
    """What the training publishes when it is left alone."""
    return _train_alone(world, tmp_path_factory.mktemp("alone"))


def training(world: World, root: Path, **changes: Any) -> dict[str, Any]:
    settings = {"num_samples": 8 * STEPS, "micro_batch_size": 4, "checkpoint_interval": 25} | changes
    return {"settings": world.settings("pretrain", **settings), **world.arguments("pretrain"), "output": root / "out"}


def published(root: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in (root / "out").iterdir() if path.name != "run.json"}
    return files | {"manifest": (root / "out.manifest.json").read_bytes()}


def _train_alone(world: World, root: Path) -> dict[str, bytes]:
    launchers = Launchers(root)
    kwargs = training(world, root) | {"run_directory": root / "runs/training"}
    launchers.jobs_file.write_text("backend: local\n")
    assert launchers.start("pargo.train.pretrain", kwargs, "training").wait(300) == 0, launchers.log()
    return published(root)


@pytest.fixture
def train(cluster, launchers, world, tmp_path) -> Callable[..., subprocess.Popen]:
    """Start the training, and wait until it has made some steps."""

    def begin(steps: int = 30, **variables: Any) -> subprocess.Popen:
        kwargs = training(world, tmp_path) | {"run_directory": tmp_path / "runs/training"}
        process = launchers.start("tests.helpers.slow_training", kwargs, "training", **variables)
        wait_until(lambda: num_steps(tmp_path) >= steps, 120, f"{steps} steps; {launchers.log()}")
        return process

    return begin


def finish(cluster: Cluster, launcher: subprocess.Popen, job: str, seconds: float = 180) -> int:
    """Wait for a launcher; after a requeue SLURM lets its job wait two minutes, which need not be."""
    end, waits = time.monotonic() + seconds, 0
    while launcher.poll() is None:
        assert time.monotonic() < end, f"waited in vain for job {job}"
        waits = waits + 1 if cluster.jobs().get(job) == "PENDING" else 0
        if waits == 24:  # 12 s: sooner its node may not be rid of the last run, and is drained ("Duplicate jobid")
            cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now", check=False)
        time.sleep(0.5)
    return launcher.returncode


def num_steps(root: Path) -> int:
    path = root / "runs/training/timing.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def causes(root: Path) -> list[str]:
    return [entry["cause"] for entry in Attempts(root / "runs/training").entries()]


def test_preemption_by_a_higher_partition(cluster, launchers, train, alone, tmp_path):
    launcher = train()
    job = job_of(launchers, "training")
    cluster.run(
        "sbatch", "--partition=high", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null", "--wrap=sleep 3"
    )
    wait_until(lambda: cluster.jobs()[job] == "PENDING", 60, "the preemption")
    assert causes(tmp_path) == ["preempted"]
    assert finish(cluster, launcher, job) == 0, launchers.log()
    assert "resuming after step" in launchers.log()
    assert cluster.show(job)["Restarts"] == "1"
    assert published(tmp_path) == alone


def test_a_node_that_goes_down_and_comes_back(cluster, launchers, train, alone, tmp_path):
    launcher = train()
    job = job_of(launchers, "training")
    node = cluster.show(job)["NodeList"]
    cluster.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    wait_until(lambda: cluster.show(job).get("Restarts") == "1", 60, "the requeue")
    cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)  # unless it came by itself
    assert finish(cluster, launcher, job) == 0, launchers.log()
    assert published(tmp_path) == alone


def test_the_controller_restarted_in_the_middle(cluster, launchers, train, alone, tmp_path):
    launcher = train()
    cluster.stop_controller()
    time.sleep(5)
    assert launcher.poll() is None, launchers.log()
    cluster.start_controller()
    assert launcher.wait(180) == 0, launchers.log()
    assert published(tmp_path) == alone


def test_sigterm_to_a_training_saves_its_step(cluster, launchers, train, alone, tmp_path):
    """As a preemption without a warning; here by scancel, after which only a person starts it again."""
    launcher = train()
    cluster.run("scancel", job_of(launchers, "training"))
    assert launcher.wait(60) == 1
    assert "cancelled by hand" in launchers.log()
    saved = max(path.name for path in (tmp_path / "runs/training/checkpoints").glob("step-*"))
    assert int(saved.removeprefix("step-")) % 25  # not one of the regular ones
    assert train(steps=0).wait(180) == 0, launchers.log()
    assert f"resuming after step {int(saved.removeprefix('step-'))}" in launchers.log()
    assert published(tmp_path) == alone


def test_a_time_limit(cluster, launchers, train, alone, tmp_path):
    # SLURM warns up to a minute early
    launchers.configure(defaults={"time_minutes": 2, "signal_seconds": 40})
    launcher = train(steps=3, PAUSE="0.8")
    job = job_of(launchers, "training")
    assert finish(cluster, launcher, job, 300) == 0, launchers.log()
    assert int(cluster.show(job)["Restarts"]) >= 1
    assert "resuming after step" in launchers.log()
    assert published(tmp_path) == alone


def test_too_many_time_limits(cluster, launchers, tmp_path):
    launchers.configure(defaults={"time_minutes": 1, "signal_seconds": 50, "max_timeouts": 0})
    kwargs = {"settings": {}, "output": tmp_path / "out", "trace": tmp_path / "trace", "wait_for": tmp_path / "never"}
    assert launchers.start("tests.helpers.toy_stage", kwargs).wait(120) == 1
    assert "ran into its limit of 1 min 1 times; what it saved is kept: raise time_minutes" in launchers.log()


def test_out_of_memory_is_not_tried_again(cluster, launchers, tmp_path):
    launchers.configure(defaults={"memory_gb": 1, "max_failures": 3})
    kwargs = {"settings": {}, "output": tmp_path / "out"}
    assert launchers.start("tests.helpers.greedy_stage", kwargs).wait(120) == 1
    assert "out of memory: lower the stage's micro_batch_size, or raise memory_gb" in launchers.log()
    assert "trying again" not in launchers.log()


def test_two_ranks_are_as_one(cluster, launchers, world, alone, tmp_path):
    launchers.configure(stages={"pretrain": {"tasks_per_node": 2}})
    kwargs = training(world, tmp_path) | {"run_directory": tmp_path / "runs/training"}
    assert launchers.start("pargo.train.pretrain", kwargs, "training", stage_name="pretrain").wait(120) == 0
    found, expected = load_file(tmp_path / "out/model.safetensors"), load(alone["model.safetensors"])
    assert found.keys() == expected.keys()
    assert max((found[name] - expected[name]).abs().max() for name in found) < 1e-6


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Makes the folder of the runs read-only (`ro`) and writable (`rw`), as a file server in trouble does."""
    folder = tmp_path / "runs"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    yield lambda mode: subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)
    subprocess.run(["umount", "--lazy", str(folder)])


def test_a_shared_folder_that_is_read_only_for_a_while(cluster, launchers, kwargs, tmp_path, shared):
    before = set(cluster.jobs())  # the controller forgets old ones
    shared("ro")
    first = launchers.start("tests.helpers.toy_stage", kwargs | {"wait_for": tmp_path / "go"})
    wait_until(lambda: "Read-only file system; waiting" in launchers.log())
    shared("rw")
    wait_until(lambda: num_runs(kwargs))
    first.kill()
    (tmp_path / "go").touch()
    wait_until(kwargs["output"].is_dir)
    wait_until(lambda: not cluster.run("squeue", "-h"))
    shared("ro")  # between the end of the job and its harvest
    second = launchers.start("tests.helpers.toy_stage", kwargs | {"wait_for": tmp_path / "go"})
    wait_until(lambda: "Read-only file system; waiting" in launchers.log())
    shared("rw")
    assert second.wait(60) == 0, launchers.log()
    assert num_runs(kwargs) == 1
    assert len(set(cluster.jobs()) - before) == 1


def test_a_job_that_does_not_get_its_gpus_ends_at_once(cluster, launchers, kwargs):
    """SLURM gives it two; no driver gives it any. It has two processes, and neither waits for the other."""
    launchers.configure(defaults={"max_failures": 3}, stages={"pretrain": {"gpus_per_node": 2}})
    before = set(cluster.jobs())
    assert launchers.start("tests.helpers.toy_stage", kwargs, stage_name="pretrain").wait(60) == 1
    text = launchers.log()
    assert "gpus_per_node: 2, so this process should see 2 GPU(s), but it sees 0 on" in text
    assert "driver: " in text
    assert "CUDA_VISIBLE_DEVICES is" in text
    assert num_runs(kwargs) == 0
    assert len(set(cluster.jobs()) - before) == 1  # it would be the same again
    wait_until(lambda: not cluster.run("squeue", "-h"), 30, "an empty queue")


def test_a_process_that_fails_alone_does_not_leave_the_others_waiting(cluster, launchers, kwargs, tmp_path):
    (tmp_path / "alone_stage.py").write_text(
        "import os, time\nfrom pathlib import Path\nfrom pargo.errors import PargoError\n"
        "def run(settings: dict, output: Path) -> None:\n"
        "    if os.environ['SLURM_PROCID'] == '1':\n        raise PargoError('only this one')\n    time.sleep(300)\n"
    )
    launchers.configure(stages={"pretrain": {"tasks_per_node": 2}})
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    output = {"settings": {}, "output": kwargs["output"]}
    launcher = launchers.start("alone_stage", output, stage_name="pretrain", PYTHONPATH=paths)
    assert launcher.wait(90) == 1
    assert "only this one" in launchers.log()
    wait_until(lambda: not cluster.run("squeue", "-h"), 30, "an empty queue")


# Arrays ---------------------------------------------------------------------------------------------------------------

ELEMENTS = int(os.environ.get("ARRAY_ELEMENTS", "60"))  # each starts a Python; 200 take minutes on two cores
ARRAY = """
import sys
from pathlib import Path
from pargo.jobs.launcher import launch_array
root, number = Path(sys.argv[1]), int(sys.argv[2])
elements = [
    {"settings": "{}", "output": root / "out" / str(i), "trace": root / "trace", "run_directory": root / "run" / str(i)}
    for i in range(number)
]
launch_array("tests.helpers.unreliable_stage", elements, run_directory=root / "run", executor=sys.argv[3])
"""


def test_an_array_in_which_one_of_twenty_fails(cluster, launchers, tmp_path):
    launchers.configure(array_limit=6, defaults={"memory_gb": 1, "max_failures": 3})
    command = [sys.executable, "-c", ARRAY, str(tmp_path), str(ELEMENTS), str(launchers.jobs_file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w") as log:
        launcher = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    most = 0
    while launcher.poll() is None:
        states = cluster.run("squeue", "--array", "--noheader", "--format=%T").split()
        most = max(most, states.count("RUNNING"))
        time.sleep(0.3)
    text = (tmp_path / "log").read_text()
    assert launcher.returncode == 0, text
    assert most <= 6
    assert len(list((tmp_path / "out").iterdir())) == ELEMENTS
    runs = Counter(line.split()[0] for line in (tmp_path / "trace").read_text().splitlines())
    failures = Counter(line.split()[0] for line in (tmp_path / "trace").read_text().splitlines() if "fails" in line)
    assert failures
    assert {name: 1 + failures[name] for name in runs} == dict(runs)  # who did not fail ran once
