"""The learning rate as a pure function of the step: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from pargo.config.training import Train

RISE, FINAL = 0.05, 0.05  # of the steps, and of the peak, in `rise_and_cosine`
DECAY_SHARE = 0.25  # of the steps, at the end of `warmup_stable_decay`


def learning_rate_factor(train: Train, step: int) -> float:
    """Fraction of the peak learning rate at a step, counted from zero.

    Linear warm-up over the first `warmup` of the steps (the first step is not zero), times a decay from 1
    towards `final_learning_rate` at the end, which starts at the first step or, in `warmup_stable_decay`, in the last
    quarter.
    """
    progress = step / train.num_steps
    decay = {
        "constant": 1.0,
        "warmup_stable_decay": min(1.0, (1.0 - progress) / DECAY_SHARE),
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
    }[train.schedule]
    if train.schedule != "constant":
        decay = train.final_learning_rate + (1.0 - train.final_learning_rate) * decay
    warmup_steps = train.warmup * train.num_steps
    return decay * min(1.0, (step + 1) / warmup_steps if warmup_steps else 1.0)


def rise_and_cosine(step: int, num_steps: int) -> float:
    """Fraction of the peak learning rate at a step, counted from zero: a short linear rise, times a cosine.

    For what comes before the trainings of a config, and has no schedule of its own there.
    """
    decay = FINAL + (1.0 - FINAL) * 0.5 * (1.0 + math.cos(math.pi * step / num_steps))
    return decay * min(1.0, (step + 1) / (RISE * num_steps))
