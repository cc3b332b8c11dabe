"""Whole stages on tiny models: splits of the batch, kill and resume, what is trained, what is published."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pargo.errors import PargoError
from pargo.manifest import verify
from pargo.train import finetune, loop, pretrain

STAGES = {"pretrain": (pretrain.run, pretrain.PretrainSettings), "finetune": (finetune.run, finetune.FinetuneSettings)}
# a process that ends like in a power cut when it has made a number of steps
KILLED = """
import os, pickle, signal, sys
from pargo.train import finetune, loop
original, steps = loop._step, []
def step(*arguments):
    steps.append(original(*arguments))
    if len(steps) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return steps[-1]
loop._step = step
settings, arguments = pickle.loads(sys.stdin.buffer.read())
finetune.run(finetune.FinetuneSettings.model_validate_json(settings), **arguments)
"""

RANK = """
import pickle, sys
from pargo.train import pretrain
for settings, arguments in pickle.loads(sys.stdin.buffer.read()):
    pretrain.run(pretrain.PretrainSettings.model_validate_json(settings), **arguments)
"""


def run(world, stage: str, output: Path, run_directory: Path, **train) -> list[dict]:
    function, settings = STAGES[stage]
    function(
        settings.model_validate_json(world.settings(stage, **train)),
        **world.arguments(stage),
        output=output,
        run_directory=run_directory,
    )
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def pretrained(world):
    """Also the input of fine-tuning."""
    output = world.root / "pretrained"
    return output, run(world, "pretrain", output, world.root / "runs" / "pretrain")


def test_pretraining_trains_the_projector_alone(world, pretrained):
    output, metrics = pretrained
    weights = load_file(output / "model.safetensors")
    assert weights
    assert all(name.startswith("projector.") and tensor.dtype == torch.float32 for name, tensor in weights.items())
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert set(metrics[0]["learning_rate"]) == {"projector"}
    verify(output)
    names = sorted(path.name for path in output.iterdir())
    assert names == ["config.json", "metrics.jsonl", "model.safetensors", "provenance.json", "run.json"]
    assert not (world.root / "runs" / "pretrain" / "checkpoints").exists()
    timing = (world.root / "runs" / "pretrain" / "timing.jsonl").read_text().splitlines()
    assert len(timing) == 6


@pytest.mark.parametrize("micro_batch_size", [4, 1])
def test_splitting_the_batch_changes_nothing(world, pretrained, tmp_path, micro_batch_size):
    metrics = run(world, "pretrain", tmp_path / "out", tmp_path / "run", micro_batch_size=micro_batch_size)
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in metrics] == pytest.approx([row[name] for row in pretrained[1]], rel=1e-6)
    assert [row["supervised_tokens"] for row in metrics] == [row["supervised_tokens"] for row in pretrained[1]]


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_zero_stages_agree(world, pretrained, tmp_path, zero_stage):
    metrics = run(world, "pretrain", tmp_path / "out", tmp_path / "run", zero_stage=zero_stage, micro_batch_size=4)
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in metrics] == pytest.approx([row[name] for row in pretrained[1]], rel=1e-4)


def test_two_ranks_are_as_one(world, pretrained, tmp_path):
    jobs = []
    for zero_stage in (0, 2):
        paths = {"output": tmp_path / str(zero_stage), "run_directory": tmp_path / f"run-{zero_stage}"}
        settings = world.settings("pretrain", zero_stage=zero_stage, micro_batch_size=2)
        jobs.append((settings, world.arguments("pretrain") | paths))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = []
    for rank in ("0", "1"):
        environment = os.environ | group | {"RANK": rank, "LOCAL_RANK": rank}
        ranks.append(subprocess.Popen([sys.executable, "-c", RANK], stdin=subprocess.PIPE, env=environment))
        ranks[-1].stdin.write(pickle.dumps(jobs))
        ranks[-1].stdin.close()
    assert [process.wait(100) for process in ranks] == [0, 0]
    for zero_stage in (0, 2):
        lines = (tmp_path / str(zero_stage) / "metrics.jsonl").read_text().splitlines()
        for name in ("loss", "gradient_norm"):
            found = [json.loads(line)[name] for line in lines]
            assert found == pytest.approx([row[name] for row in pretrained[1]], rel=1e-5)


def test_finetuning_trains_projector_and_lora(world, pretrained, tmp_path):
    metrics = run(world, "finetune", tmp_path / "out", tmp_path / "run")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    adapters = [name for name in weights if "lora_" in name]
    assert adapters
    assert all(name.startswith("language_model.") for name in adapters)
    assert any(weights[name].any() for name in adapters if "lora_B" in name)
    before = load_file(pretrained[0] / "model.safetensors")
    assert any(not torch.equal(before[name], weights[name]) for name in before)
    assert set(metrics[0]["learning_rate"]) == {"projector", "lora"}


def published(output: Path) -> dict[str, bytes]:
    """Everything that must not differ between two runs."""
    files = {path.name: path.read_bytes() for path in output.iterdir() if path.name != "run.json"}
    return files | {"manifest": output.with_name(output.name + ".manifest.json").read_bytes()}


def test_killed_and_resumed_equals_uninterrupted(world, pretrained, tmp_path, capfd):
    run(world, "finetune", tmp_path / "whole" / "out", tmp_path / "run")
    output, run_directory = tmp_path / "killed" / "out", tmp_path / "killed-run"
    arguments = world.arguments("finetune") | {"output": output, "run_directory": run_directory}
    job = pickle.dumps((world.settings("finetune"), arguments))
    killed = subprocess.run([sys.executable, "-c", KILLED], input=job, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    assert (run_directory / "checkpoints" / "step-00000004").is_dir()
    capfd.readouterr()
    run(world, "finetune", output, run_directory)
    assert "resuming after step 4" in capfd.readouterr().out
    assert published(output) == published(tmp_path / "whole" / "out")
    assert [path.name for path in output.parent.iterdir() if path.name.startswith(".")] == []


class Stopped(Exception):  # noqa: N818 - not an error
    """The interruption of the next tests."""


def stopping(original: Callable[..., dict]) -> Callable[..., dict]:
    """A `_step` that stops the training after three steps."""
    steps = []

    def step(*arguments):
        if len(steps) == 3:
            raise Stopped
        steps.append(original(*arguments))
        return steps[-1]

    return step


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_every_zero_stage_resumes_exactly(world, pretrained, tmp_path, monkeypatch, zero_stage):
    changes = {"zero_stage": zero_stage, "micro_batch_size": 4, "lora": None}
    run(world, "pretrain", tmp_path / "a" / "out", tmp_path / "run", **changes)
    original = loop._step
    monkeypatch.setattr(loop, "_step", stopping(original))
    with pytest.raises(Stopped):
        run(world, "pretrain", tmp_path / "b" / "out", tmp_path / "b-run", **changes)
    monkeypatch.setattr(loop, "_step", original)
    run(world, "pretrain", tmp_path / "b" / "out", tmp_path / "b-run", **changes)
    assert published(tmp_path / "a" / "out") == published(tmp_path / "b" / "out")


def test_other_settings_do_not_resume(world, tmp_path, monkeypatch, capfd):
    run_directory = tmp_path / "run"
    original = loop._step
    monkeypatch.setattr(loop, "_step", stopping(original))
    with pytest.raises(Stopped):
        run(world, "pretrain", tmp_path / "out", run_directory)
    monkeypatch.setattr(loop, "_step", original)
    metrics = run(world, "pretrain", tmp_path / "out", run_directory, learning_rate=2e-3)
    assert "belongs to other settings" in capfd.readouterr().out
    assert metrics[0]["learning_rate"]["projector"] == pytest.approx(2e-3)


def test_a_diverged_run_says_so(world, tmp_path):
    with pytest.raises(PargoError, match=r"step \d: .*diverged"):
        run(world, "pretrain", tmp_path / "out", tmp_path / "run", learning_rate=1e30)
    assert not (tmp_path / "out").exists()


def test_start_is_quiet_and_tells_what_learns(world, pretrained, tmp_path, capfd):
    run(world, "finetune", tmp_path / "out", tmp_path / "run")
    captured = capfd.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0].startswith("[trainable] projector ")
    assert any(line.startswith("[frozen]    language_model ") for line in lines)
    assert any(line.startswith("[trainable] language_model (LoRA)") for line in lines)
    assert any(line.startswith("scenes ") for line in lines)
    assert lines[-2].startswith("step 6/6  samples 48/48  loss ")
    assert len(lines) < 12
