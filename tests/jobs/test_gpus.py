"""GPUs of local jobs are those of the caller, and a job with fewer than it asked for ends at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pargo.config.jobs import Resources
from pargo.errors import PargoError
from pargo.jobs import gpus
from pargo.jobs.gpus import check_gpus
from pargo.jobs.launcher import launch


@pytest.fixture(autouse=True)
def toy_stage_is_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def kwargs(tmp_path) -> dict:
    return {"settings": {}, "output": tmp_path / "out", "trace": tmp_path / "trace"}


@pytest.mark.parametrize(
    "visible",
    [
        None,
        "",
        "0",
        "1,0",
        "0,1,2,3",
        "-1",
        "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
        "GPU-8932f937,GPU-d3b07384",
        "MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/0",
        "MIG-41b36db1-5ad2-5a44-9cc1-3b0e0d3a3a5e",
        "0, 1",
        "no; such $HOME 'GPU'",
    ],
)
def test_a_local_job_sees_what_its_caller_sees(kwargs, tmp_path, monkeypatch, visible):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    launch("tests.helpers.toy_stage", kwargs, name="toy", run_directory=tmp_path / "runs" / "toy")
    assert kwargs["trace"].read_text().rstrip("\n").split(" ", 2)[2] == repr(visible)
    assert kwargs["output"].is_dir()


@pytest.fixture
def devices(monkeypatch):
    """Let torch see a number of GPUs."""

    def see(number: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)

    return see


@pytest.mark.parametrize(
    ("asked", "seen", "enough"),
    [
        ({}, 0, True),
        ({"gpus_per_node": 0}, 8, True),
        ({"gpus_per_node": 1}, 0, False),
        ({"gpus_per_node": 1}, 1, True),
        ({"gpus_per_node": 8}, 8, True),
        ({"gpus_per_node": 8}, 7, False),
        ({"gpus_per_node": 4}, 8, True),
        ({"gpus_per_node": 8, "nodes": 2}, 8, True),
        ({"gpus_per_node": 8, "tasks_per_node": 1}, 1, False),
        # each process sees its own
        ({"gpus_per_node": 8, "sbatch": {"gpus-per-task": 1}}, 1, True),
        ({"gpus_per_node": 8, "sbatch": {"gpus_per_task": 1}}, 1, True),
        ({"gpus_per_node": 8, "tasks_per_node": 4, "sbatch": {"gpu-bind": "single:2"}}, 2, True),
        ({"gpus_per_node": 8, "tasks_per_node": 4, "sbatch": {"gpu-bind": "single:2"}}, 1, False),
        ({"gpus_per_node": 8, "tasks_per_node": 3, "sbatch": {"gpu-bind": "map_gpu:0"}}, 2, False),
        ({"gpus_per_node": 8, "sbatch": {"mail-type": "FAIL"}}, 1, False),
    ],
)
def test_what_is_enough(devices, asked, seen, enough):
    devices(seen)
    if enough:
        check_gpus(Resources(**asked))
    else:
        with pytest.raises(PargoError, match=f"gpus_per_node: {asked['gpus_per_node']}.* sees {seen} on "):
            check_gpus(Resources(**asked))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\nGCC version:\n",
            "driver: 535.129.03;",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n", "driver: 580.95.05;"),
        ("something else\n", "driver: something else;"),
        (None, "driver: none is loaded;"),
    ],
)
def test_the_message_names_driver_cuda_and_devices(devices, tmp_path, monkeypatch, file, words):
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "version")
    if file is not None:
        (tmp_path / "version").write_text(file)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    devices(2)
    with pytest.raises(PargoError) as caught:
        check_gpus(Resources(gpus_per_node=8))
    assert words in str(caught.value)
    assert f"torch {torch.__version__} is built" in str(caught.value)
    assert "CUDA_VISIBLE_DEVICES is '3,4'" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "words"), [("6.12.12\n", "driver: 6.12.12;"), (None, "driver: the kernel's own amdgpu;")]
)
def test_on_gpus_of_amd_the_message_is_in_their_words(devices, tmp_path, monkeypatch, version, words):
    monkeypatch.setattr(gpus, "AMD_DRIVER", tmp_path / "version")
    if version is not None:
        (tmp_path / "version").write_text(version)
    monkeypatch.setattr(torch.version, "hip", "6.3.42131")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "0,1")
    devices(2)
    with pytest.raises(PargoError) as caught:
        check_gpus(Resources(gpus_per_node=8))
    for expected in (words, "is built for ROCm 6.3.42131; ROCR_VISIBLE_DEVICES is '0,1'. Try rocm-smi and"):
        assert expected in str(caught.value)


def test_a_driver_that_is_too_old_is_told_in_torchs_words(devices, monkeypatch):
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).\nPlease update")

    devices(0)
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(PargoError, match=r"torch says: The NVIDIA driver .* too old \(found version 12020\)\. Try"):
        check_gpus(Resources(gpus_per_node=1))


def test_a_job_without_its_gpus_ends_before_its_stage_is_imported(tmp_path):
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("{backend: local, defaults: {gpus_per_node: 1000, tasks_per_node: 1, max_failures: 3}}")
    kwargs = {"settings": {}, "output": tmp_path / "out"}
    with pytest.raises(PargoError, match=r"gpus_per_node: 1000, .* sees \d+ on ") as caught:
        launch("no_such_stage", kwargs, name="toy", run_directory=tmp_path / "toy", executor=str(jobs))
    assert "times)" not in str(caught.value)  # it would be the same again


def test_processes_that_a_local_job_would_not_start_are_refused(tmp_path):
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text("{backend: local, stages: {pretrain: {tasks_per_node: 2}}}")
    kwargs = {"settings": {}, "output": tmp_path / "out"}
    with pytest.raises(PargoError, match=r"asks for 2 processes, .*: set tasks_per_node: 1"):
        launch(
            "tests.helpers.toy_stage",
            kwargs,
            name="toy",
            run_directory=tmp_path / "toy",
            executor=str(jobs),
            stage_name="pretrain",
        )


def test_without_gpus_torch_is_not_imported():
    code = "import sys; from pargo.jobs.gpus import *; check_gpus(Resources()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
