"""The training loop of both stages, on the DeepSpeed engine.

What decides a step is a pure function of (settings, step, rank): its samples, its learning rates, its random numbers.
So a resumed run ends in the same bytes as an uninterrupted one, and nothing but weights, optimizer state and the
metrics so far needs saving.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import deepspeed
import torch
from torch import Tensor, distributed, nn

from pargo.config.models import Attention, LoRA
from pargo.config.training import Train
from pargo.errors import PargoError
from pargo.models.build import own_parameters, own_state_dict
from pargo.models.vlm import PargoModel
from pargo.train import cut as cuts
from pargo.train import engine as engines
from pargo.train import show
from pargo.train.attention import choose_attention
from pargo.train.checkpoint import Checkpoint, Checkpoints
from pargo.train.cross_entropy import check_packing
from pargo.train.data import StepData, Steps, TrainingData, load
from pargo.train.encode import encode
from pargo.train.events import Events
from pargo.train.loss import Objective
from pargo.train.pace import Progress
from pargo.train.precision import compute_lora_in_model_precision
from pargo.train.sampler import seed_of
from pargo.train.schedule import learning_rate_factor
from pargo.train.speed import Meter
from pargo.train.termination import Termination


def parameter_groups(model: PargoModel, train: Train, lora: LoRA | None) -> list[dict[str, Any]]:
    """AdamW's groups, `projector` and `lora`, each with its own peak learning rate."""
    groups: dict[str, dict[str, Any]] = {"projector": {"lr": train.learning_rate, "params": []}}
    if lora is not None:
        groups["lora"] = {"lr": lora.learning_rate, "params": []}
    for name, parameter in _trainable(model).items():
        groups["lora" if "lora_" in name else "projector"]["params"].append(parameter)
    return [{"name": name, **group} for name, group in groups.items()]


class Trained(NamedTuple):
    """What a training gives.

    Attributes:
        weights: the model's own, float32, on the CPU.
        metrics: one JSON line per optimizer step.
        computed: how, in the words of the config's `language`, where that leaves it to a measurement.
        cut: dataset -> what `max_length` cut off in the whole training; empty without it.
    """

    weights: dict[str, Tensor]
    metrics: list[str]
    computed: dict[str, str]
    cut: dict[str, cuts.Cut]


def train_model(
    model: PargoModel,
    data: TrainingData,
    train: Train,
    lora: LoRA | None,
    attention: Attention,
    *,
    seed: int,
    checkpoints: Checkpoints,
    checkpoint: Checkpoint | None,
    run_directory: Path,
) -> Trained:
    """Train to the end, from a checkpoint if there is one.

    SIGTERM or SIGINT ends it after the current step with a checkpoint.

    Args:
        model: changed in place.
        data: samples by global index.
        train: settings of the stage.
        lora: settings of the adapters the model has, if it has any.
        attention: how to compute the language model.
        seed: of dropout.
        checkpoints: takes those of this training.
        checkpoint: what it goes on from; its tensors go when they are copied.
        run_directory: for `timing.jsonl` and events.

    Returns:
        What the artifact holds of it. Every rank gets it.

    Raises:
        PargoError: a parameter gets no gradient in the first step, the loss or a gradient is not finite, a sample is
            bad, a checkpoint cannot be written, the batch cannot be split over the ranks, or a signal came.
    """
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    model = model.to(_device()).train()
    compute_lora_in_model_precision(model)
    way = choose_attention(model, attention, train)
    half = model.get_input_embeddings().weight.dtype == torch.bfloat16
    computed = {"attention": way, "precision": "bf16" if half else "fp32"}
    if checkpoint is not None:
        _load_weights(model, checkpoint)  # before the engine copies them
        say(f"resuming after step {checkpoint.step}")
    steps = Steps(
        data,
        train,
        num_image_tokens=model.projector.num_tokens,
        image_token_id=model.config.image_token_id,
        rank=rank,
        world_size=world_size,
    )
    lost = show.cut(data, train, model.projector.num_tokens)
    for line in (*show.model_table(model), *show.data_table(data, train), *show.plan(steps, train, way), *lost):
        say(line)
    if way != "fused":
        model.language_model.set_attn_implementation(way)
        if train.packing:
            check_packing(model)
    # no part of what the engine copies and takes apart: it is frozen, and its weights may be channels-last
    tower, model.vision_tower = model.vision_tower, None
    objective = Objective(model, fused=way == "fused", recompute=train.activation_checkpointing)
    if train.zero_stage == 3:
        # used outside the module that holds it
        deepspeed.zero.register_external_parameter(objective, objective.head)
    groups = parameter_groups(model, train, lora)
    rates = {group["name"]: group["lr"] for group in groups}
    engine = engines.start_engine(objective, groups, train, world_size)
    optimizer = engines.torch_optimizer(engine)
    parameters = _trainable(model)
    metrics, start = ([], 0) if checkpoint is None else (list(checkpoint.metrics), checkpoint.step)
    engines.load_optimizer_state(
        engine, parameters, engines.new_optimizer_state(parameters) if checkpoint is None else checkpoint.optimizer
    )
    if checkpoint is not None:
        # the engine has copies; these would stay in memory to the end
        checkpoint.weights.clear()
        checkpoint.optimizer.clear()

    def save(step: int) -> None:
        weights, state = _weights(model, train), engines.optimizer_state(engine, parameters)
        with _together():
            if rank == 0:
                checkpoints.save(step, weights, state, metrics, computed)

    reached: engines.Reached | None = engines.Reached(parameters)
    progress, meter = Progress(train, start), Meter(model, world_size)
    with engines.released(engine), _log(run_directory, rank, start) as log, Termination() as termination:
        loader = load(steps, start, train)
        for step in range(start, train.num_steps):
            began = time.perf_counter()
            with _together(f"step {step + 1}: "):
                step_data = next(loader)
            loaded = time.perf_counter()
            if tower is not None:
                with _together(f"step {step + 1}: "):
                    step_data = encode(tower, step_data, engine.device, skip_bad=train.on_bad_sample == "skip")
            torch.manual_seed(seed_of(seed, "step", step, rank) % 2**63)
            factor = learning_rate_factor(train, step)
            for group in optimizer.param_groups:
                group["lr"] = factor * rates[group["name"]]
            row = _step(engine, train, step_data, world_size)
            if reached is not None and row["supervised_tokens"]:
                with _together(f"step {step + 1}: "):
                    reached.check()
                reached = None
            row |= {
                "step": step + 1,
                "samples": (step + 1) * train.batch_size,
                "learning_rate": {name: factor * rate for name, rate in rates.items()},
            }
            finite = math.isfinite(row["loss"]) and math.isfinite(row["gradient_norm"])
            if not finite and row["supervised_tokens"]:
                problem = f"step {step + 1}: loss {row['loss']}, gradient norm {row['gradient_norm']}"
                if train.on_non_finite == "stop":
                    raise PargoError(f"{problem}; diverged, or a bad sample; samples: {', '.join(steps.names(step))}")
                say(f"{problem}; skipped; samples: {', '.join(steps.names(step))}")
            row["skipped_update"] = not math.isfinite(row["gradient_norm"])
            if not finite:
                row |= {"loss": None, "gradient_norm": None}
            if row["skipped_samples"]:
                names = [name for part in _from_all_ranks(step_data.bad + step_data.unanswered) for name in part]
                say(f"step {step + 1}: {row['skipped_samples']} samples skipped {' '.join(names)}")
            if train.max_length is not None:
                parts = cuts.add_up(_from_all_ranks(step_data.cut))
                row["cut"] = {name: cut._asdict() for name, cut in parts.items()}
            metrics.append(json.dumps(row, sort_keys=True) + "\n")
            times = meter.add(
                samples=train.batch_size,
                tokens=int(_sum_over_ranks(step_data.tokens, engine.device)),
                supervised=row["supervised_tokens"],
                data=loaded - began,
                compute=time.perf_counter() - loaded,
            )
            if log is not None:
                log.write(row, times)
                progress.update(step + 1, row)
            stop = next((name for name in _from_all_ranks(termination.asked) if name), "")
            if ((step + 1) % train.checkpoint_interval == 0 or stop) and step + 1 < train.num_steps:
                save(step + 1)
                if stop:
                    raise PargoError(f"ended by {stop} after step {step + 1}; the next run continues from there")
        weights = _weights(model, train)
    say(meter.summary())
    _say_skipped(metrics)
    total = cuts.of_metrics(metrics)
    if train.max_length is not None:
        for line in cuts.lines(total, train.max_length, "all"):
            say(line)
    return Trained(weights, metrics, computed, total)


def find_start(checkpoints: Checkpoints) -> Checkpoint | None:
    """The newest usable checkpoint.

    Raises:
        PargoError: ranks would go on from different steps, and train different models.
    """
    checkpoint = checkpoints.load()
    found = ["nothing" if step is None else f"step {step}" for step in _from_all_ranks(checkpoint and checkpoint.step)]
    if len(set(found)) > 1:
        raise PargoError(
            f"ranks found different checkpoints, {', '.join(f'rank {i}: {step}' for i, step in enumerate(found))}: all "
            "need to read the same run directory; the next run tries again"
        )
    return checkpoint


def _step(engine: deepspeed.DeepSpeedEngine, train: Train, data: StepData, world_size: int) -> dict[str, Any]:
    """One optimizer step over this rank's samples; loss (mean over the supervised tokens of all ranks) and norm."""
    tokens = int(_sum_over_ranks(data.supervised, engine.device))
    skipped = int(_sum_over_ranks(len(data.unanswered) + len(data.bad), engine.device))
    if not tokens:
        nothing = float("nan")
        return {"loss": nothing, "gradient_norm": nothing, "supervised_tokens": 0, "skipped_samples": skipped}
    total = torch.zeros((), device=engine.device)
    for number, batch in enumerate(data.batches):
        loss = engine(batch.to(engine.device))
        # the engine averages over ranks, and the loss is a sum; one that is not finite must not update anything
        scale = torch.where(loss.detach().isfinite(), world_size / tokens, math.nan)
        engine.backward(loss * scale, scale_wrt_gas=False)
        total += loss.detach()
        if number + 1 < len(data.batches):
            engine.step()  # counts the micro-batch
    mean = _sum_over_ranks(total.item(), engine.device) / tokens
    norm = engines.step(engine, train)
    return {"loss": mean, "gradient_norm": norm, "supervised_tokens": tokens, "skipped_samples": skipped}


class _Log:
    """`timing.jsonl` and events of the first rank."""

    def __init__(self, run_directory: Path, start: int) -> None:
        run_directory.mkdir(parents=True, exist_ok=True)
        self._timing = (run_directory / "timing.jsonl").open("a", encoding="utf-8", buffering=1)
        self._events = Events(run_directory, start)
        self._failed = False

    def write(self, row: dict[str, Any], times: dict[str, float]) -> None:
        if self._failed:
            return
        numbers = {name: row[name] for name in ("loss", "gradient_norm") if row[name] is not None}
        parts = {"train": numbers, "learning_rate": row["learning_rate"], "speed": times}
        with self._forgiven():
            self._timing.write(json.dumps({"step": row["step"], **times}) + "\n")
            self._events.write(row["step"], parts)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *error: object) -> None:
        for part in (self._timing, self._events):
            with self._forgiven():
                part.close()

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """A disk that is full is no reason to lose a training: the next checkpoint says what is the matter."""
        try:
            yield
        except OSError as error:
            self._failed = True
            print(f"no more timing and events: {error}", flush=True)


def _log(run_directory: Path, rank: int, start: int) -> Any:
    return nullcontext() if rank else _Log(run_directory, start)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def _trainable(model: PargoModel) -> dict[str, nn.Parameter]:
    """Trainable parameters by name, in the model's order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@contextmanager
def _together(prefix: str = "") -> Iterator[None]:
    """Let an expected failure of one rank end all of them, instead of leaving the others waiting for it."""
    problem = None
    try:
        yield
    except PargoError as error:
        problem = error
    for text in _from_all_ranks("" if problem is None else str(problem)):
        if text:
            raise PargoError(f"{prefix}{text}") from problem


def _from_all_ranks(value: Any) -> list[Any]:
    """What each rank has, in their order, on all ranks."""
    if distributed.get_world_size() == 1:
        return [value]
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, value)
    return found


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


def _say_skipped(metrics: list[str]) -> None:
    """What was left out, if anything was."""
    rows = [json.loads(line) for line in metrics]
    samples, updates = (sum(row[name] for row in rows) for name in ("skipped_samples", "skipped_update"))
    if samples or updates:
        say(f"skipped: {samples} samples, {updates} updates")


def say(line: str) -> None:
    """Print on the first rank only."""
    if distributed.get_rank() == 0:
        print(line, flush=True)
