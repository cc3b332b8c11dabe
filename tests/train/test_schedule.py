"""The learning rate of every step, as a truth table."""

import pytest

from pargo.config.training import Train
from pargo.train.schedule import learning_rate_factor


def train(**changes) -> Train:
    base = {"mixture": {"a": 1.0}, "num_samples": 100, "batch_size": 1, "micro_batch_size": 1, "learning_rate": 1.0}
    return Train(**base | {"warmup": 0.04, "final_learning_rate": 0.1} | changes)


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        ("constant", 0, 0.25),
        ("constant", 3, 1.0),
        ("constant", 99, 1.0),
        ("linear", 50, 0.1 + 0.9 * 0.5),
        ("cosine", 50, 0.1 + 0.9 * 0.5),
        ("cosine", 25, 0.1 + 0.9 * 0.5 * (1 + 0.5**0.5)),
        ("linear", 99, 0.1 + 0.9 * 0.01),
        ("warmup_stable_decay", 0, 0.25),
        ("warmup_stable_decay", 74, 1.0),
        ("warmup_stable_decay", 80, 0.1 + 0.9 * 0.8),
        ("warmup_stable_decay", 99, 0.1 + 0.9 * 0.04),
    ],
)
def test_factor(schedule, step, factor):
    assert learning_rate_factor(train(schedule=schedule), step) == pytest.approx(factor)


def test_without_warmup_the_first_step_is_the_peak():
    assert learning_rate_factor(train(warmup=0.0), 0) == 1.0
