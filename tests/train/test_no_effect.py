"""Settings that say how a training is computed, and not what: to the same bits, or but for rounding."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.training_processes import job, train

PLAIN = {"micro_batch_size": 4}


@pytest.fixture(scope="module")
def weights(world, tmp_path_factory):
    """Weights of a training by its changed settings."""

    def of(**changes):
        root = tmp_path_factory.mktemp("training")
        train(*job(world, root, **(PLAIN | changes)))
        return load_file(root / "out" / "model.safetensors")

    return of


@pytest.fixture(scope="module")
def plain(weights):
    return weights()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_workers": 1},
        {"checkpoint_interval": 1},
        {"keep_checkpoints": 1, "checkpoint_interval": 1},
        {"on_bad_sample": "skip"},
        {"on_non_finite": "skip"},
    ],
    ids=str,
)
def test_how_a_training_is_kept_changes_no_bit(plain, weights, changes):
    found = weights(**changes)
    assert all(torch.equal(found[name], plain[name]) for name in plain.keys() | found.keys())


@pytest.mark.parametrize(
    "changes",
    [
        {"packing": False},
        {"micro_batch_size": 2},
        {"micro_batch_size": 8},
        {"zero_stage": 1},
        {"zero_stage": 2},
        {"zero_stage": 3},
        {"activation_checkpointing": True},
    ],
    ids=str,
)
def test_how_a_step_is_computed_changes_rounding_alone(plain, weights, changes):
    torch.testing.assert_close(weights(**changes), plain, atol=2e-6, rtol=1e-4)
