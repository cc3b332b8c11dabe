"""What `sinfo` prints, and what is refused because of it."""

from __future__ import annotations

import pytest

from pargo.config.jobs import Resources
from pargo.errors import ConfigError, PargoError
from pargo.jobs import partitions
from pargo.jobs.partitions import check, check_profile, minutes

SINFO = """\
cpu*|100|64|256000|(null)|2-00:00:00
gpu|10|48|512000|gpu:a100:4(S:0-1)|1-12:30:00
gpu|2|96|1024000+|gpu:h100:8,nvme:1|infinite
mixed|1|8|16000|gpu:2|30:00
"""


@pytest.fixture(autouse=True)
def sinfo(monkeypatch):
    monkeypatch.setattr(partitions, "partitions", lambda: [partitions._nodes(line) for line in SINFO.splitlines()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2-00:00:00", 2880), ("1-12:30:00", 2190), ("30:00", 30), ("1:00:00", 60), ("infinite", float("inf"))],
)
def test_times(text, expected):
    assert minutes(text) == expected


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"partition": "gpu", "gpus_per_node": 4, "nodes": 12},
        {"partition": "gpu", "gpus_per_node": 8, "nodes": 2, "time_minutes": 100_000},
        {"partition": "cpu,gpu", "gpus_per_node": 4, "nodes": 12},
        {"partition": "mixed", "gpus_per_node": 2, "time_minutes": 30, "cpus_per_task": 4},
    ],
)
def test_possible(asked):
    check(Resources(**asked))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"partition": "gpux"}, "'gpux' does not exist; sinfo knows cpu, gpu, mixed"),
        ({"gpus_per_node": 1}, r"asks for 1 GPUs per node \(there are 0\); partition 'cpu' has, says sinfo: 100 x 64"),
        ({"partition": "gpu", "gpus_per_node": 16}, r"16 GPUs per node \(there are [48]\).*gpu:h100:8"),
        ({"partition": "gpu", "gpus_per_node": 8, "nodes": 3}, "3 nodes; partition 'gpu' has 2 such nodes"),
        ({"partition": "mixed", "time_minutes": 31}, r"31 minutes \(there are 30\)"),
        ({"partition": "mixed", "memory_gb": 17, "time_minutes": 1, "signal_seconds": 1}, "17 GB of memory per node"),
        ({"partition": "mixed", "gpus_per_node": 2, "cpus_per_task": 5, "time_minutes": 9}, "10 CPUs per node"),
    ],
)
def test_impossible(asked, message):
    with pytest.raises(PargoError, match=message):
        check(Resources(**asked))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("{}", None),
        ("{finetune: {partition: gpu, gpus_per_node: 4}}", None),
        ("{finetune: {partition: gpu, gpus_per_node: 16}}", r"jobs\.yaml: finetune: the job asks for 16 GPUs per node"),
        ("{evaluate: {partition: gpux}}", None),  # a stage that the profile runs on this machine
    ],
)
def test_a_profile_is_checked_before_its_first_job(tmp_path, stages, message):
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(f"defaults: {{partition: cpu}}\nstages: {stages}\n")
    executors = "".join(f"  {stage}: {{executor: \"'{jobs}'\"}}\n" for stage in ("pretrain", "finetune"))
    (tmp_path / "profile.yaml").write_text(f"cores: 2\nset-resources:\n{executors}  download: {{mem_mb: 10}}\n")
    if message is None:
        check_profile(tmp_path)
    else:
        with pytest.raises(ConfigError, match=message):
            check_profile(tmp_path)


def test_a_profile_of_this_machine_needs_no_slurm(tmp_path):
    (tmp_path / "profile.yaml").write_text("cores: 2\n")
    check_profile(tmp_path)
    check_profile(tmp_path / "absent")  # Snakemake says so itself
