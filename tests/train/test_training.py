"""Whole stages on tiny models: what is trained, published and printed; features stored or computed in the loop."""

from __future__ import annotations

import gc
import json
from itertools import permutations

import pytest
import torch
from deepspeed import DeepSpeedEngine
from safetensors.torch import load_file

from pargo.data.shards import Shards
from pargo.data.template import encode_conversation
from pargo.errors import PargoError
from pargo.manifest import verify
from pargo.models.language import load_tokenizer
from pargo.train.texts import ConversationDataset
from tests.helpers.training_processes import job, train


@pytest.fixture(scope="module")
def pretrained(world, tmp_path_factory):
    """Also the input of fine-tuning."""
    stage, settings, arguments = job(world, tmp_path_factory.mktemp("pretrained"), "pretrain")
    arguments["output"] = world.root / "pretrained"
    return arguments["output"], arguments["run_directory"], train(stage, settings, arguments)


def test_pretraining_trains_the_projector_alone(pretrained):
    output, run_directory, metrics = pretrained
    weights = load_file(output / "model.safetensors")
    assert weights
    assert all(name.startswith("projector.") and tensor.dtype == torch.float32 for name, tensor in weights.items())
    assert [row["step"] for row in metrics] == [1, 2, 3, 4, 5, 6]
    assert metrics[-1]["loss"] < metrics[0]["loss"]
    assert set(metrics[0]["learning_rate"]) == {"projector"}
    verify(output)
    names = sorted(path.name for path in output.iterdir())
    assert names == ["config.json", "metrics.jsonl", "model.safetensors", "provenance.json", "run.json"]
    assert not (run_directory / "checkpoints").exists()
    timing = [json.loads(line) for line in (run_directory / "timing.jsonl").read_text().splitlines()]
    assert [row["step"] for row in timing] == [1, 2, 3, 4, 5, 6]
    assert all(row["samples"] == 8 and row["tokens"] > 8 * 5 and row["memory"] > 1e8 for row in timing)


def test_finetuning_trains_projector_and_lora(world, pretrained, tmp_path):
    metrics = train(*job(world, tmp_path, "finetune"))
    weights = load_file(tmp_path / "out" / "model.safetensors")
    adapters = [name for name in weights if "lora_" in name]
    assert adapters
    assert all(name.startswith("language_model.") for name in adapters)
    assert any(weights[name].any() for name in adapters if "lora_B" in name)
    before = load_file(pretrained[0] / "model.safetensors")
    assert any(not torch.equal(before[name], weights[name]) for name in before)
    assert set(metrics[0]["learning_rate"]) == {"projector", "lora"}


def test_start_is_quiet_and_tells_what_learns(world, pretrained, tmp_path, capfd):
    train(*job(world, tmp_path, "finetune"))
    captured = capfd.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0].startswith("[trainable] projector ")
    assert any(line.startswith("[frozen]    language_model ") for line in lines)
    assert any(line.startswith("[trainable] language_model (LoRA)") for line in lines)
    assert any(line.startswith("scenes ") for line in lines)
    assert any("tokens a step (packed, image tokens included); attention: " in line for line in lines)
    assert lines[-3].startswith("step 6/6  samples 48/48  loss ")
    assert "waiting for data" in lines[-2]
    assert len(lines) < 14


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_zero_is_quiet_too(world, tmp_path, capfd, zero_stage):
    train(*job(world, tmp_path, zero_stage=zero_stage))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("changes", [{}, {"num_workers": 2, "micro_batch_size": 4}])
def test_features_in_the_loop_are_those_stored(world, tower, tmp_path, changes):
    found = {}
    for way in ("stored", "in_loop"):
        stage, text, arguments = job(world, tmp_path / way, features=way, **changes)
        settings = json.loads(text) | {"vision": tower}
        if way == "stored":
            arguments["features"] = {"scenes": world.root / "tower-features"}
        else:
            arguments |= {"features": {}, "images": {"scenes": world.root / "images"}, "vision": world.root / "tower"}
        found[way] = train(stage, json.dumps(settings), arguments)
    for name in ("loss", "gradient_norm"):
        stored, computed = ([row[name] for row in found[way]] for way in found)
        assert computed == pytest.approx(stored, rel=1e-4)
    names = [set(load_file(tmp_path / way / "out" / "model.safetensors")) for way in found]
    assert names[0] == names[1]  # the tower is no part of what is saved


def test_a_shorter_max_length_supervises_fewer_tokens(world, tmp_path):
    whole = train(*job(world, tmp_path / "whole"))
    metrics = train(*job(world, tmp_path, max_length=11))
    assert all(row["supervised_tokens"] < other["supervised_tokens"] for row, other in zip(metrics, whole, strict=True))
    assert sum(row["skipped_samples"] for row in metrics) == 0


def test_samples_without_an_answer_are_skipped_and_counted(world, pretrained, tmp_path, capfd):
    """A short first question fits, a longer one does not; a step without any answer makes no update."""
    changes = {"max_length": 5 + 1 + len("A dot?") + 4, "batch_size": 1, "micro_batch_size": 1, "num_samples": 24}
    metrics = train(*job(world, tmp_path, "finetune", **changes))
    skipped = [row for row in metrics if row["skipped_samples"]]
    assert 0 < len(skipped) < 24
    for row in metrics:
        assert row["skipped_update"] == (row["loss"] is None) == (row["supervised_tokens"] == 0) == (row in skipped)
    assert f"skipped: {len(skipped)} samples, {len(skipped)} updates" in capfd.readouterr().out


@pytest.mark.parametrize("max_turns", [None, 1, 3])
def test_turns_keep_their_order_unless_they_are_shuffled(world, max_turns):
    tokenizer, directory = load_tokenizer(world.root / "language"), world.root / "source" / "train"
    named = {"name": "scenes", "seed": 0, "max_turns": max_turns}
    plain = ConversationDataset(directory, tokenizer, **named)
    shuffled = ConversationDataset(directory, tokenizer, **named, shuffle=True)
    turns = Shards(directory).record("0001")["conversation"]
    expected = encode_conversation(tokenizer, turns[:max_turns])
    assert [plain.encode("0001", epoch) for epoch in range(5)] == [expected] * 5
    found = [shuffled.encode("0001", epoch) for epoch in range(5)]
    assert len(set(found)) > 1
    assert found == [shuffled.encode("0001", epoch) for epoch in range(5)]
    whole = {tuple(encode_conversation(tokenizer, list(order)[:max_turns]).input_ids) for order in permutations(turns)}
    assert {text.input_ids for text in found} <= whole


@pytest.mark.parametrize("zero_stage", [0, 1, 2])
def test_nothing_of_a_training_stays_in_memory(world, tmp_path, zero_stage):
    """Neither after its end nor after its failure."""

    def count() -> int:
        gc.collect()
        return sum(type(thing) is DeepSpeedEngine for thing in gc.get_objects())

    before = count()  # others, of ZeRO 3, may have stayed
    train(*job(world, tmp_path / "good", zero_stage=zero_stage))
    assert count() == before
    with pytest.raises(PargoError, match="step 2: loss nan"):
        train(*job(world, tmp_path / "bad", zero_stage=zero_stage, learning_rate=1e30, warmup=0.0))
    assert count() == before
