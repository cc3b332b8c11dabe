"""The training loop of both stages, on the DeepSpeed engine.

What decides a step is a pure function of (settings, step): its samples, its learning rates, its random numbers. So a
resumed run ends in the same bytes as an uninterrupted one, and nothing but weights, optimizer state and the metrics
so far needs saving.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import deepspeed
import torch
from torch import Tensor, distributed

from pargo.config.models import LoRA
from pargo.config.training import Train
from pargo.errors import PargoError
from pargo.models.build import own_parameters, own_state_dict
from pargo.models.vlm import PargoModel
from pargo.train import engine as engines
from pargo.train import show
from pargo.train.batch import Sample, num_supervised
from pargo.train.checkpoint import Checkpoint, Checkpoints
from pargo.train.data import TrainingData
from pargo.train.loss import Objective
from pargo.train.precision import compute_lora_in_model_precision
from pargo.train.sampler import seed_of
from pargo.train.schedule import learning_rate_factor


def parameter_groups(model: PargoModel, train: Train, lora: LoRA | None) -> list[dict[str, Any]]:
    """AdamW's groups, `projector` and `lora`, each with its own peak learning rate."""
    groups: dict[str, dict[str, Any]] = {"projector": {"lr": train.learning_rate, "params": []}}
    if lora is not None:
        groups["lora"] = {"lr": lora.learning_rate, "params": []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups["lora" if "lora_" in name else "projector"]["params"].append(parameter)
    return [{"name": name, **group} for name, group in groups.items()]


def train_model(
    model: PargoModel,
    data: TrainingData,
    train: Train,
    lora: LoRA | None,
    *,
    seed: int,
    spec: str,
    run_directory: Path,
) -> tuple[dict[str, Tensor], list[str]]:
    """Train to the end, from the newest checkpoint below the run directory if there is one.

    Args:
        model: changed in place.
        data: samples by global index.
        train: settings of the stage.
        lora: settings of the adapters the model has, if it has any.
        seed: of dropout.
        spec: hash of all that decides the numbers; checkpoints of another spec are ignored.
        run_directory: for checkpoints and `timing.jsonl`.

    Returns:
        The model's own weights (float32, on the CPU) and the metrics, one JSON line per optimizer step. Every rank gets
        both.

    Raises:
        PargoError: the loss is not finite, or the batch cannot be split over the ranks.
    """
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    checkpoints = Checkpoints(
        run_directory / "checkpoints", spec, rank=rank, world_size=world_size, barrier=distributed.barrier, warn=_say
    )
    compute_lora_in_model_precision(model)
    checkpoint = checkpoints.load()
    if checkpoint is not None:
        _load_weights(model, checkpoint)  # before the engine copies them
        _say(f"resuming after step {checkpoint.step}")
    for line in (*show.model_table(model), *show.data_table(data, train)):
        _say(line)
    objective = Objective(model.train())
    if train.zero_stage == 3:
        # used outside the module that holds it
        deepspeed.zero.register_external_parameter(objective, objective.head)
    groups = parameter_groups(model, train, lora)
    rates = {group["name"]: group["lr"] for group in groups}
    engine, passes = engines.start_engine(objective, groups, train, world_size)
    optimizer = engines.torch_optimizer(engine)
    metrics: list[str] = []
    start = 0
    if checkpoint is not None:
        engines.load_optimizer_state(engine, checkpoint.optimizer)
        metrics, start = list(checkpoint.metrics), checkpoint.step

    progress = show.Progress(train, start)
    per_rank = train.batch_size // world_size
    with _timings(run_directory, rank) as timings:
        for step in range(start, train.num_steps):
            began = time.perf_counter()
            first = step * train.batch_size + rank * per_rank
            samples = [data.sample(index) for index in range(first, first + per_rank)]
            loaded = time.perf_counter()
            torch.manual_seed(seed_of(seed, "step", step, rank) % 2**63)
            factor = learning_rate_factor(train, step)
            for group in optimizer.param_groups:
                group["lr"] = factor * rates[group["name"]]
            row = _step(engine, train, samples, passes, world_size)
            row |= {
                "step": step + 1,
                "samples": (step + 1) * train.batch_size,
                "learning_rate": {name: factor * rate for name, rate in rates.items()},
            }
            if not math.isfinite(row["loss"]) or not math.isfinite(row["gradient_norm"]):
                raise PargoError(f"step {step + 1}: loss {row['loss']}, gradient norm {row['gradient_norm']}; diverged")
            metrics.append(json.dumps(row, sort_keys=True) + "\n")
            if rank == 0:
                times = {"data": loaded - began, "step": time.perf_counter() - began}
                rounded = {name: round(seconds, 4) for name, seconds in times.items()}
                timings.write(json.dumps({"step": step + 1, "samples": train.batch_size, **rounded}) + "\n")
                progress.update(step + 1, row)
            if (step + 1) % train.checkpoint_interval == 0 and step + 1 < train.num_steps:
                weights = _weights(model, train)
                checkpoints.save(step + 1, weights, engines.optimizer_state(engine), metrics)
    return _weights(model, train), metrics


def _step(
    engine: deepspeed.DeepSpeedEngine, train: Train, samples: list[Sample], passes: int, world_size: int
) -> dict[str, Any]:
    """One optimizer step over this rank's samples; loss (mean over the supervised tokens of all ranks) and norm."""
    tokens = int(_sum_over_ranks(num_supervised(samples), engine.device))
    if not tokens:
        raise PargoError("a whole batch has no supervised token")
    total = torch.zeros((), device=engine.device)
    norm = 0.0
    for micro in range(passes):
        part = samples[micro * train.micro_batch_size : (micro + 1) * train.micro_batch_size]
        loss = engine(engine.module.collate(part).to(engine.device))
        # the engine averages over ranks, and the loss is a sum
        engine.backward(loss * (world_size / tokens), scale_wrt_gas=False)
        total += loss.detach()
        if micro + 1 < passes:
            engine.step()  # counts the micro-batch
        else:
            norm = engines.step(engine, train)
    return {
        "loss": _sum_over_ranks(total.item(), engine.device) / tokens,
        "gradient_norm": norm,
        "supervised_tokens": tokens,
    }


def _sum_over_ranks(value: float, device: torch.device) -> float:
    if distributed.get_world_size() == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.all_reduce(tensor)
    return tensor.item()


def _weights(model: PargoModel, train: Train) -> dict[str, Tensor]:
    """Copies of the model's own weights, whole on every rank."""
    own = [parameter for _, parameter in own_parameters(model)]
    whole = deepspeed.zero.GatheredParameters(own) if train.zero_stage == 3 else nullcontext()
    with whole:
        return own_state_dict(model)


@torch.no_grad()
def _load_weights(model: PargoModel, checkpoint: Checkpoint) -> None:
    for name, parameter in own_parameters(model):
        parameter.copy_(checkpoint.weights[name])


def _timings(run_directory: Path, rank: int) -> Any:
    if rank:
        return nullcontext()
    run_directory.mkdir(parents=True, exist_ok=True)
    return (run_directory / "timing.jsonl").open("a", encoding="utf-8", buffering=1)


def _say(line: str) -> None:
    """Print on the first rank only."""
    if distributed.get_rank() == 0:
        print(line, flush=True)
