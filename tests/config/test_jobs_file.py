"""Jobs files: resources by stage, and clear errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pargo.config.jobs import load_jobs
from pargo.errors import ConfigError

ROOT = Path(__file__).parents[2]


def write(tmp_path: Path, **content: object) -> Path:
    path = tmp_path / "jobs.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_stage_differs_from_the_defaults(tmp_path):
    defaults = {"partition": "a", "gpus_per_node": 1, "sbatch": {"mail-type": "FAIL"}, "setup": ["module load x"]}
    stages = {"pretrain": {"gpus_per_node": 8, "nodes": 2, "sbatch": {"reservation": "r"}}}
    jobs = load_jobs(write(tmp_path, defaults=defaults, stages=stages))
    pretrain = jobs.of("pretrain")
    assert (pretrain.partition, pretrain.num_tasks, pretrain.processes_per_node) == ("a", 16, 8)
    assert pretrain.sbatch == {"mail-type": "FAIL", "reservation": "r"}
    assert jobs.of("finetune").setup == ("module load x",)
    assert jobs.of("evaluate").num_tasks == 1


def test_the_profile_of_the_project_is_valid():
    assert load_jobs(ROOT / "workflow/profiles/slurm/jobs.yaml").backend == "slurm"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"defaults": {"gpus": 1}}, "defaults.gpus: unknown key .*gpus_per_node"),
        ({"stages": {"pretrain": {"gpus": 1}}}, r"stages\.pretrain\.gpus: unknown key \(choices: account, "),
        ({"stages": {"pretrain": {"nodes": 0}}}, "stages.pretrain.nodes: 0 is not valid: expected more than 0"),
        ({"stages": {"report": {}}}, "stages.report: 'report' is not valid: choices: fingerprint, "),
        ({"defaults": {"nodes": 0}}, "defaults.nodes: 0"),
        ({"defaults": {"time_minutes": "1:00"}}, "defaults.time_minutes: '1:00'"),
        (
            {"stages": {"evaluate": {"gpus_per_node": 2}}},
            "stages.evaluate: 2 processes, but only pretrain and finetune",
        ),
        ({"stages": {"features": {"time_minutes": 1}}}, "signal_seconds is longer than time_minutes"),
        ({"defaults": {"gpus_per_node": 4}}, "stages.fingerprint: 4 processes, but only pretrain and finetune"),
        (
            {"limit": 3},
            r"limit: unknown key; did you mean 'array_limit'\? \(choices: array_limit, backend, defaults, poll",
        ),
        ({"backend": "cloud"}, "backend: 'cloud'"),
    ],
)
def test_a_bad_file_names_the_field(tmp_path, content, message):
    with pytest.raises(ConfigError, match=message):
        load_jobs(write(tmp_path, **content))


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read jobs file .*nowhere\.yaml"):
        load_jobs(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_jobs(tmp_path / "bad.yaml")
