"""The learning rate as a pure function of the step: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from pargo.config.training import Train

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
