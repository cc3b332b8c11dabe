"""Every trainable parameter gets a gradient in the first step, or the training ends and names it."""

from __future__ import annotations

import json

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from pargo.errors import PargoError
from pargo.train import pretrain
from pargo.train.engine import Reached
from tests.helpers.training_processes import job, train


@pytest.mark.parametrize(
    ("zero_stage", "attention"), [(0, "fused"), (1, "fused"), (2, "fused"), (0, "sdpa"), (3, "sdpa")]
)
def test_an_adapter_that_the_loss_bypasses_ends_the_training(world, tmp_path, monkeypatch, zero_stage, attention):
    build = pretrain.build_model

    def with_adapted_head(*arguments):
        model = build(*arguments)
        inject_adapter_in_model(LoraConfig(r=2, target_modules=["lm_head"]), model.language_model)
        return model

    monkeypatch.setattr(pretrain, "build_model", with_adapted_head)
    lora = {"rank": 4, "alpha": 8, "learning_rate": 5e-4}
    stage, settings, arguments = job(world, tmp_path, zero_stage=zero_stage, micro_batch_size=4, lora=lora)
    chosen = json.loads(settings)
    chosen["language"]["attention"] = attention
    names = "language_model.lm_head.lora_A.default.weight, language_model.lm_head.lora_B.default.weight"
    with pytest.raises(PargoError, match=rf"step 1: the loss gives no gradient to, and would never train: {names}$"):
        train(stage, json.dumps(chosen), arguments)
    assert not (tmp_path / "out").exists()


def test_a_gradient_of_zero_is_a_gradient():
    used, zeroed, unused = (nn.Parameter(torch.ones(2)) for _ in range(3))
    parameters = {"used": used, "zeroed": zeroed}
    reached = Reached(parameters)
    (used.sum() + 0 * zeroed.sum()).backward()
    reached.check()
    reached = Reached(parameters | {"unused": unused})
    used.sum().backward()
    with pytest.raises(PargoError, match=r"no gradient to, and would never train: unused, zeroed$"):
        reached.check()
    used.sum().backward()  # nothing is watched any more
    assert not used._backward_hooks
