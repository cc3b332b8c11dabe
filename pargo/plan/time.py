"""How long the jobs of a config take on this machine: their counted operations, at a rate that is measured at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import LlamaConfig, LlamaModel

from pargo.config.experiment import Config
from pargo.config.jobs import LOCAL
from pargo.config.language_shape import LanguageShape
from pargo.graph.jobs import Job
from pargo.models.language import resolve_precision
from pargo.plan.flops import LanguageCost
from pargo.plan.jobs import Assumptions, plan
from pargo.plan.pending import row_of
from pargo.plan.sizes import language_sizes

TOKENS = 256  # of the measured step
LAYERS = 2
STEPS = 5  # the fastest counts, as other work only slows one down
LARGEST = 2048  # width of a language model whose step is measured: larger ones are not for a CPU
# CPU-seconds of a stage's operations over those that the measured step would take for as many. With 1 for all, a run of
# two cut models on two AVX2 cores took 13.6 min where 12 were told.
SLOWER = {"features": 1.0, "warm_up": 1.0, "pretrain": 1.0, "finetune": 1.0, "evaluate": 1.0}
START_UP, LIGHT = 5.0, 1.0  # seconds of a job with a model, and of another
NOTHING = Assumptions("", 1.0, 1.0, 1.0)


class Estimate(NamedTuple):
    """How long jobs take.

    Attributes:
        seconds: from the first to the last.
        step: seconds of the step that was measured, on one core.
    """

    seconds: float
    step: float


def estimate(config: Config, jobs: Sequence[Job], cores: int) -> Estimate | None:
    """How long the jobs of a config take on this machine; None where a GPU does them, or no CPU would.

    Args:
        config: the config.
        jobs: those that are going to run.
        cores: how many jobs run at once, each on one core.

    Raises:
        PargoError: the operations cannot be counted.
    """
    shape, _ = language_sizes(config)
    if shape.hidden_size > LARGEST or torch.cuda.is_available():
        return None
    step = measured_step(shape, resolve_precision(config.language.precision))
    rate, work = _operations(shape) / step, {True: 0.0, False: 0.0}
    count = Counter(row_of(job) for job in jobs)
    for row in plan(config, LOCAL, NOTHING):
        share = min(1.0, count[row.stage, row.what] / max(row.jobs, 1))
        work[row.stage == "warm_up"] += row.flops * share / rate * SLOWER.get(row.stage, 1.0)
    shared = work[False] + sum(START_UP if job.rule in SLOWER else LIGHT for job in jobs)
    warm_up = config.language.warm_up
    alone = min(cores, warm_up.num_threads) if warm_up else 1  # all others wait for it
    return Estimate(work[True] / alone + shared / cores, step)


def measured_step(shape: LanguageShape, dtype: torch.dtype) -> float:
    """Seconds that one core takes for a training step of two layers of a language model, whose weights are frozen."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            no_ids = {"bos_token_id": None, "eos_token_id": None, "vocab_size": 1}  # it is given embeddings alone
            model = LlamaModel(LlamaConfig(**_two_layers(shape).model_dump() | no_ids)).to(dtype)
            embeddings = torch.randn(1, TOKENS, shape.hidden_size, dtype=dtype, requires_grad=True)
        model.requires_grad_(False)
        return min(_step(model, embeddings) for _ in range(STEPS))
    finally:
        torch.set_num_threads(threads)


def _step(model: LlamaModel, embeddings: torch.Tensor) -> float:
    started = time.perf_counter()
    model(inputs_embeds=embeddings, use_cache=False).last_hidden_state.sum().backward()
    return time.perf_counter() - started


def _operations(shape: LanguageShape) -> float:
    return LanguageCost(_two_layers(shape)).training(TOKENS, 0, None, checkpointing=False)


def _two_layers(shape: LanguageShape) -> LanguageShape:
    return shape.model_copy(update={"num_hidden_layers": LAYERS})
