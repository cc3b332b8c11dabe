"""One optimizer step is one number, however it is computed: micro-batches, ranks, padding, workers, ZeRO stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pargo.train.data import Steps
from tests.helpers.training_processes import finish, job, start, train

EXACT = 1e-6  # float32
RANKS = [
    {"micro_batch_size": 4},
    {"micro_batch_size": 1, "packing": False},
    *({"micro_batch_size": 2, "zero_stage": stage} for stage in (1, 2, 3)),
]


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """One rank, one micro-batch of 8."""
    root = tmp_path_factory.mktemp("whole")
    return train(*job(world, root)), load_file(root / "out" / "model.safetensors")


def check(whole, root: Path, tolerance: float = EXACT) -> None:
    metrics, weights = whole
    found = [json.loads(line) for line in (root / "out" / "metrics.jsonl").read_text().splitlines()]
    assert len(found) == len(metrics) == 6
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in found] == pytest.approx([row[name] for row in metrics], rel=tolerance)
    assert [row["supervised_tokens"] for row in found] == [row["supervised_tokens"] for row in metrics]
    torch.testing.assert_close(load_file(root / "out" / "model.safetensors"), weights, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {"micro_batch_size": 4},
        {"micro_batch_size": 2},
        {"micro_batch_size": 1},
        {"packing": False},
        {"packing": False, "micro_batch_size": 2},
        {"num_workers": 2},
        {"activation_checkpointing": True},
        {"zero_stage": 1, "micro_batch_size": 4},
        {"zero_stage": 2, "micro_batch_size": 4},
        {"zero_stage": 3, "micro_batch_size": 4},
    ],
    ids=lambda changes: ", ".join(f"{name} {value}" for name, value in changes.items()),
)
def test_losses_and_weights_are_the_same(world, whole, tmp_path, changes):
    train(*job(world, tmp_path, **changes))
    check(whole, tmp_path)


def test_two_ranks_are_as_one(world, whole, tmp_path):
    jobs = [job(world, tmp_path / str(number), **changes) for number, changes in enumerate(RANKS)]
    assert finish(start(jobs, world_size=2)) == [0, 0]
    for number in range(len(RANKS)):
        check(whole, tmp_path / str(number))


@pytest.mark.parametrize("attention", ["fused", "sdpa", "eager"])
def test_attention_is_a_matter_of_speed(world, whole, tmp_path, attention):
    stage, settings, arguments = job(world, tmp_path)
    chosen = json.loads(settings)
    chosen["language"]["attention"] = attention
    train(stage, json.dumps(chosen), arguments)
    check(whole, tmp_path, tolerance=1e-5)


class Recorded(Exception):  # noqa: N818 - not an error
    """Ends a training when its data are known."""


@pytest.fixture
def order(world, tmp_path, monkeypatch):
    """Sample ids of all steps, of a training with these changes, as its loader hands them out."""
    from pargo.train import data, loop

    def record(projector: dict | None = None, **changes) -> list[list[str]]:
        seen: list[list[str]] = []
        original = data.load

        def observed(steps: Steps, first: int, settings) -> None:
            for number, step in enumerate(original(steps, first, settings)):
                assert sum(len(batch.images) for batch in step.batches) == len(step.names)
                assert sorted(step.names) == sorted(steps.names(number))
                seen.append(sorted(step.names))  # inside a step they come by length
            raise Recorded

        monkeypatch.setattr(loop, "load", observed)
        stage, settings, arguments = job(world, tmp_path, **changes)
        chosen = json.loads(settings)
        chosen["projector"] = projector or chosen["projector"]
        with pytest.raises(Recorded):
            train(stage, json.dumps(chosen), arguments)
        return seen

    return record


def test_the_order_of_samples_depends_on_the_seed_alone(order):
    expected = order()
    assert len({name for step in expected for name in step}) == 24
    linear = {"name": "linear", "adjacent_patches": 4}
    for changes in (
        {"num_workers": 2},
        {"packing": False},
        {"micro_batch_size": 2},
        {"projector": linear},
        {"zero_stage": 2},
        {"max_length": 7},
    ):
        assert order(**changes) == expected, changes


def test_the_determinism_switch(world, tmp_path):
    train(*job(world, tmp_path / "on"))
    assert torch.are_deterministic_algorithms_enabled()
    train(*job(world, tmp_path / "again"))
    one, two = ((tmp_path / name / "out" / "model.safetensors").read_bytes() for name in ("on", "again"))
    assert one == two
    train(*job(world, tmp_path / "off", deterministic=False))
    assert not torch.are_deterministic_algorithms_enabled()
