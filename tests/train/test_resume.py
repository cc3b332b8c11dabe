"""A training that is killed at any step, and goes on, ends in the same bytes as one that was left alone."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pargo import machine
from tests.helpers.training_processes import finish, job, start, train

CASES = [(stage, zero_stage) for stage in ("pretrain", "finetune") for zero_stage in (0, 2, 3)]
STEPS = 6


def changes(zero_stage: int) -> dict:
    """Checkpoints after every step."""
    return {"zero_stage": zero_stage, "micro_batch_size": 4, "checkpoint_interval": 1}


@pytest.fixture(scope="module", autouse=True)
def pretrained(world):
    """The input of fine-tuning."""
    if not (world.root / "pretrained").exists():
        stage, settings, arguments = job(world, world.root, "pretrain")
        train(stage, settings, arguments | {"output": world.root / "pretrained"})


@pytest.fixture(scope="module")
def killed(world, tmp_path_factory) -> dict:
    """Every case, killed by SIGKILL after a random number of steps."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    roots, running = {}, []
    for case in CASES:
        roots[case] = tmp_path_factory.mktemp(f"killed-{case[0]}-{case[1]}")
        after = chance.randrange(2, STEPS)
        running.append((case, after, start([job(world, roots[case], case[0], **changes(case[1]))], kill_after=after)))
        if len(running) == 2:
            _wait(running, roots)
    return roots


def _wait(running: list, roots: dict) -> None:
    for case, after, processes in running:
        assert finish(processes) == [-signal.SIGKILL]
        newest = max(path.name for path in (roots[case] / "run" / "checkpoints").glob("step-*"))
        assert newest == f"step-{after - 1:08d}", (case, after)
        assert not (roots[case] / "out").exists()
    running.clear()


def published(root: Path) -> dict[str, bytes]:
    """Everything of the artifact that must not differ between two runs."""
    output = root / "out"
    files = {path.name: path.read_bytes() for path in output.iterdir() if path.name != "run.json"}
    return files | {"manifest": output.with_name("out.manifest.json").read_bytes()}


@pytest.mark.parametrize(("stage", "zero_stage"), CASES)
def test_killed_and_resumed_equals_uninterrupted(world, killed, tmp_path, capfd, stage, zero_stage):
    root = killed[stage, zero_stage]
    train(*job(world, tmp_path, stage, **changes(zero_stage)), keep=tmp_path / "kept")
    capfd.readouterr()
    train(*job(world, root, stage, **changes(zero_stage)), keep=root / "kept")
    assert "resuming after step" in capfd.readouterr().out
    assert published(root) == published(tmp_path)  # weights, loss curve, settings, manifest
    # weights, optimizer state and loss curve at every checkpoint after the kill
    again = sorted((root / "kept").glob("*/*"))
    assert {path.name for path in again} == {
        "model.safetensors",
        "optimizer.safetensors",
        "metrics.jsonl",
        "state.json",
    }
    for path in again:
        assert path.read_bytes() == (tmp_path / "kept" / path.relative_to(root / "kept")).read_bytes(), path
    assert not [path.name for path in root.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_the_optimizer_knows_what_is_trained_and_nothing_else(world, tmp_path, zero_stage):
    train(*job(world, tmp_path, "finetune", **changes(zero_stage)), keep=tmp_path / "kept")
    newest = max((tmp_path / "kept").iterdir())
    state, weights = load_file(newest / "optimizer.safetensors"), load_file(newest / "model.safetensors")
    moments = {name.split(".", 1)[1] for name in state if name != "step"}
    frozen = set(weights) - moments
    assert moments <= set(weights)
    assert all("input_norm" in name or name.endswith("attention.key.bias") for name in frozen), frozen
    assert all(tensor.shape == weights[name.split(".", 1)[1]].shape for name, tensor in state.items() if name != "step")
    assert state["step"] == STEPS - 1


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
def test_another_number_of_ranks_goes_on(world, tmp_path, zero_stage):
    """Two ranks until they are killed, then one; without dropout, which every rank draws for itself."""
    lora = {"rank": 4, "alpha": 8, "learning_rate": 5e-4}
    settings = changes(zero_stage) | {"micro_batch_size": 2, "lora": lora}
    alone = train(*job(world, tmp_path / "alone", "finetune", **settings))
    processes = start([job(world, tmp_path, "finetune", **settings)], world_size=2, kill_after=4)
    assert finish(processes) == [-signal.SIGKILL] * 2
    found = train(*job(world, tmp_path, "finetune", **settings))
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in found] == pytest.approx([row[name] for row in alone], rel=1e-5)
    weights = load_file(tmp_path / "alone" / "out" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "out" / "model.safetensors").items():
        assert (tensor - weights[name]).abs().max() < 1e-5, name


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_one_rank_then_two(world, tmp_path, zero_stage):
    settings = changes(zero_stage) | {"micro_batch_size": 2}
    alone = train(*job(world, tmp_path / "alone", "pretrain", **settings))
    assert finish(start([job(world, tmp_path, **settings)], kill_after=5)) == [-signal.SIGKILL]
    assert finish(start([job(world, tmp_path, **settings)], world_size=2)) == [0, 0]
    lines = (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == pytest.approx([row["loss"] for row in alone], rel=1e-5)


def test_a_bf16_model_resumes_too(world, tmp_path):
    def case(root: Path) -> tuple[str, str, dict]:
        stage, settings, arguments = job(world, root, "finetune", **changes(0))
        chosen = json.loads(settings)
        chosen["language"]["precision"] = "bf16"
        return stage, json.dumps(chosen), arguments

    train(*case(tmp_path / "whole"))
    assert finish(start([case(tmp_path)], kill_after=3)) == [-signal.SIGKILL]
    train(*case(tmp_path))
    assert published(tmp_path) == published(tmp_path / "whole")


def test_speed_and_saving_may_change_on_the_way(world, tmp_path, capfd):
    whole = train(*job(world, tmp_path / "whole", **changes(0)))
    assert finish(start([job(world, tmp_path, **changes(0))], kill_after=3)) == [-signal.SIGKILL]
    settings = changes(0) | {"num_workers": 1, "checkpoint_interval": 4, "keep_checkpoints": 1}
    assert train(*job(world, tmp_path, **settings)) == whole
    assert "resuming after step 2" in capfd.readouterr().out


def test_other_settings_do_not_resume(world, tmp_path, capfd):
    assert finish(start([job(world, tmp_path)], kill_after=3)) == [-signal.SIGKILL]
    metrics = train(*job(world, tmp_path, learning_rate=2e-3))
    assert "belongs to other settings" in capfd.readouterr().out
    assert metrics[0]["learning_rate"]["projector"] == pytest.approx(2e-3)


def test_events_of_a_resumed_training_are_those_of_one(world, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert finish(start([job(world, tmp_path)], kill_after=5)) == [-signal.SIGKILL]
    time.sleep(1.1)  # TensorBoard orders its files by the second
    metrics = train(*job(world, tmp_path))
    (table,) = (tmp_path / "run" / "dvclive").glob("plots/metrics/train/loss.tsv")
    header, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    numbers = {int(row[header.index("step")]): float(row[header.index("loss")]) for row in rows}
    assert len(rows) == len(numbers)
    assert numbers == pytest.approx({row["step"]: row["loss"] for row in metrics})
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    events = board.Scalars("train/loss")
    assert [event.step for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events] == pytest.approx([row["loss"] for row in metrics], rel=1e-6)
    assert {"speed/samples_per_second", "speed/memory", "learning_rate/projector"} <= set(board.Tags()["scalars"])


def with_auto(world, root: Path, **changes) -> tuple:
    """A job whose language model is computed in the way that measures fastest."""
    stage, settings, arguments = job(world, root, checkpoint_interval=1, **changes)
    language = {"source": "l", "precision": "auto", "attention": "auto"}
    return stage, json.dumps(json.loads(settings) | {"language": language}), arguments


def test_a_training_is_computed_to_its_end_as_it_began(world, tmp_path, monkeypatch):
    """What is fastest on the machine where it goes on does not matter."""
    from pargo.models import language
    from pargo.train import attention, loop

    def measured(precision: str, way: str) -> None:
        monkeypatch.setattr(language, "fastest", lambda *_: precision)
        monkeypatch.setattr(attention, "fastest", lambda *_: way)

    measured("bf16", "eager")
    whole = train(*with_auto(world, tmp_path / "whole"))
    original = loop._step

    def power_cut(*parts) -> dict:
        if (tmp_path / "run" / "checkpoints" / "step-00000003").exists():
            raise KeyboardInterrupt
        return original(*parts)

    monkeypatch.setattr(loop, "_step", power_cut)
    with pytest.raises(KeyboardInterrupt):
        train(*with_auto(world, tmp_path))
    monkeypatch.setattr(loop, "_step", original)
    measured("fp32", "sdpa")
    assert train(*with_auto(world, tmp_path / "other")) != whole
    assert train(*with_auto(world, tmp_path)) == whole
    made = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert made["measured"] == {"attention": "eager", "precision": "bf16"}


def test_ranks_that_find_different_checkpoints_all_stop(world, tmp_path):
    """As where one node does not see the shared folder."""
    settings = changes(0) | {"micro_batch_size": 2}
    assert finish(start([job(world, tmp_path, **settings)], kill_after=4)) == [-signal.SIGKILL]
    left = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    stage, text, arguments = job(world, tmp_path, **settings)
    elsewhere = stage, text, arguments | {"run_directory": tmp_path / "elsewhere"}
    assert finish(start([(stage, text, arguments)], world_size=2, last_rank=[elsewhere])) == [1, 1]
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} == left
    assert not (tmp_path / "out").exists()


KEPT_OTHERWISE = {"num_workers": 1, "checkpoint_interval": 2, "keep_checkpoints": 1, "on_bad_sample": "skip"}


def test_what_changes_no_bit_throws_no_checkpoint_away(world, tmp_path, monkeypatch, capfd):
    """Nor do other versions of what runs jobs; those of what computes do."""
    plain = changes(0)
    assert finish(start([job(world, tmp_path, **plain)], kill_after=4)) == [-signal.SIGKILL]
    real = machine._versions
    for name, goes_on in (("torch", False), ("snakemake", True)):
        shutil.copytree(tmp_path / "run", tmp_path / name / "run")
        of_another = {name: "0"}
        monkeypatch.setattr(
            machine, "_versions", lambda *names, of=of_another: {n: of.get(n, v) for n, v in real(*names).items()}
        )
        train(*job(world, tmp_path / name, **plain | KEPT_OTHERWISE))
        assert ("resuming after step 3" in capfd.readouterr().out) is goes_on
    weights = [published(tmp_path / name)["model.safetensors"] for name in ("torch", "snakemake")]
    assert weights[0] == weights[1]
