"""`make bench-train`: our training step against the plain transformers step on the same samples, and its own floor.

SmolLM2-135M and quick's ParGo, pretraining (language model frozen) and fine-tuning (LoRA). The plain step is what a
script would do: transformers' own layers, a padded batch, `labels=` and so logits of the whole vocabulary at every
position, peft's layers as they are, torch's AdamW. Ours is `pargo.train` without DeepSpeed's engine around it, so that
both take the same optimizer step. The plain step is measured twice: in our precision, and in float32, in which
transformers loads these weights when it is not told otherwise. The floor is the time of our step's matrix products
alone. Everything is measured in turns in one run, and ratios are taken round by round. Nothing is asserted: what was
measured is written to reports/bench/.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from rich.console import Console
from torch import Tensor, nn

from bench.floor import floor_of
from bench.measure import Ratio, peak_bytes, timed
from pargo.config.base import canonical_json
from pargo.config.experiment import Config, parse_config
from pargo.config.training import Train
from pargo.data.template import IGNORE_INDEX
from pargo.files import write_atomic
from pargo.graph.stage_settings import finetune, pretrain
from pargo.layout import Layout
from pargo.machine import hardware, versions
from pargo.models.build import build_model
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.train import finetune as finetuning
from pargo.train import pretrain as pretraining
from pargo.train.attention import choose_attention
from pargo.train.batch import Batch
from pargo.train.data import Steps, TrainingData
from pargo.train.loss import Objective
from pargo.train.precision import compute_lora_in_model_precision
from pargo.train.speed import peak_flops, step_flops

OUTPUT = Path("reports/bench")
CONFIG = Path("config/quick.yaml")
ARM = "pargo"
BATCHES = (4, 16)
ROUNDS = {4: 15, 8: 11, 16: 7}
STAGES = {"pretraining": "pretrain", "LoRA fine-tuning": "finetune"}


@dataclass(frozen=True)
class Case:
    """One row: ratios of time are others / ours (samples per second of ours / others); `memory` is ours / plain."""

    stage: str
    batch: int
    dtype: str
    attention: str
    rounds: int
    seconds: dict[str, float]
    bytes: dict[str, int]
    tokens: float
    padding: dict[str, float]
    speed: Ratio
    speed_float32: Ratio
    overhead: Ratio
    bound: Ratio
    memory: float
    mfu: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="batch 4 only; writes nothing")
    quick = parser.parse_args().quick
    console = Console(soft_wrap=True)
    console.print(f"{hardware()}; {torch.get_num_threads()} threads")
    config, cases = parse_config(yaml.safe_load(CONFIG.read_text())), []
    for stage in STAGES:
        for batch in BATCHES[: 1 if quick else None]:
            case = measure(config, stage, batch)
            cases.append(case)
            console.print(
                f"{stage}, batch {batch}, {case.dtype}, {case.attention}: "
                f"{batch / case.seconds['ours']:.1f} samples/s; "
                f"{case.speed} x the plain step, {case.speed_float32} x in float32; {case.overhead} x its floor; "
                f"{case.memory:.2f} of the plain memory",
                highlight=False,
            )
            if not quick:
                write(cases)
    if not quick:
        console.print(f"written: {OUTPUT}/train.json, .md")


def measure(config: Config, stage: str, batch: int) -> Case:
    """Warm up, count memory, then time in rounds; every round trains on other samples."""
    ours, data, train = prepared(config, STAGES[stage])
    train = train.model_copy(update={"batch_size": batch, "micro_batch_size": batch, "num_samples": batch * 64})
    steps = {
        packing: Steps(
            data,
            train.model_copy(update={"packing": packing}),
            num_image_tokens=ours.projector.num_tokens,
            image_token_id=ours.config.image_token_id,
            rank=0,
            world_size=1,
        )
        for packing in (True, False)
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ours = ours.to(device).train()
    compute_lora_in_model_precision(ours)
    attention = choose_attention(ours, "auto", train)
    kind = ours.get_input_embeddings().weight.dtype
    objective = Objective(ours, fused=attention == "fused")
    if attention != "fused":
        ours.language_model.set_attn_implementation(attention)
    runs: dict[str, Callable[[int], None]] = {"ours": stepper(objective, lambda b: objective(b), steps[True])}
    for name, precision in (("plain", kind), ("plain, float32", torch.float32)):
        model = plain_model(config, STAGES[stage], precision).to(device).train()
        runs[name] = stepper(model, lambda b, model=model: plain_loss(model, b), steps[False])
    rounds = ROUNDS[batch]
    memory = {name: peak_bytes(lambda run=run: run(0)) for name, run in runs.items()}
    floors = [floor_of(lambda number=number: runs["ours"](number)) for number in range(1, rounds + 1)]
    seconds: dict[str, list[float]] = {name: [] for name in (*runs, "floor")}
    for number in range(1, rounds + 1):
        for name, run in runs.items():
            seconds[name].append(timed(lambda run=run, number=number: run(number)))
        floors[number - 1]()  # into the cache, as far as it fits
        seconds["floor"].append(timed(floors[number - 1]))
    measured = range(1, rounds + 1)
    tokens = [steps[True][number].tokens for number in measured]
    supervised = [steps[True][number].supervised for number in measured]
    peak = peak_flops()
    return Case(
        stage=stage,
        batch=batch,
        dtype=str(kind).removeprefix("torch."),
        attention=attention,
        rounds=rounds,
        seconds={name: median(values) for name, values in seconds.items()},
        bytes=memory,
        tokens=sum(tokens) / rounds,
        padding={
            "in our order": waste(steps[False], measured),
            "sorted by length": waste(steps[False], measured, sort=8),
            "packed": 0.0,
        },
        speed=Ratio.of(seconds["plain"], seconds["ours"]),
        speed_float32=Ratio.of(seconds["plain, float32"], seconds["ours"]),
        overhead=Ratio.of(seconds["ours"], seconds["floor"]),
        bound=Ratio.of(seconds["plain"], seconds["floor"]),
        memory=memory["ours"] / memory["plain"],
        mfu=None
        if peak is None
        else sum(step_flops(ours, t, s) for t, s in zip(tokens, supervised, strict=True)) / sum(seconds["ours"]) / peak,
    )


def stage_settings(config: Config, stage: str) -> Any:
    function, kind = {
        "pretrain": (pretrain, pretraining.PretrainSettings),
        "finetune": (finetune, finetuning.FinetuneSettings),
    }[stage]
    return kind.model_validate_json(canonical_json(function(config, ARM, 0)))


def language_of(config: Config) -> Path:
    """The language model that the projectors of a run were trained with."""
    return Layout(config.name).language(config.language.source, config.language.warm_up is not None)


def prepared(config: Config, stage: str) -> tuple[Any, TrainingData, Train]:
    """Model and data as the stage itself makes them, from the artifacts of the quick run."""
    module = {"pretrain": pretraining, "finetune": finetuning}[stage]
    settings, layout, found = stage_settings(config, stage), Layout(config.name), {}

    def catch(settings: Any, train: Train, lora: Any, language: Any, prepare: Callable, **_: Any) -> None:
        found["model"], found["data"] = prepare(language)

    mixture = {name: config.datasets[name] for name in settings.train.mixture}
    arguments: dict[str, Any] = {
        "language": language_of(config),
        "features": {name: layout.features(part.source, part.split) for name, part in mixture.items()},
        "output": Path(),
        "run_directory": Path(),
    }
    if stage == "pretrain":
        arguments["captions"] = {name: layout.captions(name) for name in mixture}
    else:
        arguments["sources"] = {name: layout.source(part.source) for name, part in mixture.items()}
        arguments["pretrained"] = layout.model(ARM, 0, "pretrain")
    original, module.run_training = module.run_training, catch
    try:
        module.run(settings, **arguments)
    finally:
        module.run_training = original
    return found["model"], found["data"], settings.train


def plain_model(config: Config, stage: str, precision: torch.dtype) -> PargoForConditionalGeneration:
    """The same weights in transformers' layers with its default attention."""
    settings = stage_settings(config, stage)
    name = {torch.float32: "fp32", torch.bfloat16: "bf16"}[precision]
    return build_model(
        PargoForConditionalGeneration,
        settings.vision,
        settings.language.model_copy(update={"precision": name, "attention": "sdpa"}),
        settings.projector,
        None if settings.train.lora is None else settings.train.lora.adapter,
        language_of(config),
        settings.seed,
    )


def plain_loss(model: PargoForConditionalGeneration, batch: Batch) -> Tensor:
    """The loss that transformers computes from labels, of a padded batch."""
    embeddings = model.embed(batch.input_ids, model.project(batch.images))
    labels = torch.nn.functional.pad(batch.labels, (1, 0), value=IGNORE_INDEX)[:, :-1]  # it shifts them itself
    mask = torch.ones_like(batch.input_ids)
    return model(inputs_embeds=embeddings, attention_mask=mask, labels=labels, use_cache=False).loss


def stepper(module: nn.Module, loss_of: Callable[[Batch], Tensor], steps: Steps) -> Callable[[int], None]:
    """A function that makes one optimizer step on the samples of a step's number."""
    step, device = take_step(module, loss_of), next(module.parameters()).device
    return lambda number: step(steps[number].batches[0].to(device), steps[number].supervised)


def take_step(module: nn.Module, loss_of: Callable[[Batch], Tensor]) -> Callable[[Batch, int], None]:
    """A function that makes one optimizer step on a batch and its number of supervised tokens."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, fused=True)

    def step(batch: Batch, supervised: int) -> None:
        (loss_of(batch) / supervised).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def waste(steps: Steps, numbers: range, sort: int = 1) -> float:
    """Share of padding in padded batches; of `sort` steps at once, sorted by length first, when it is more than one."""
    lengths: list[list[int]] = []
    for number in numbers:
        (batch,) = steps[number].batches
        real = steps.lengths(number)
        lengths.append(real)
        assert max(real) - 1 == batch.input_ids.shape[1]
    if sort > 1:
        size = len(lengths[0])
        flat = [length for step in lengths for length in step]
        flat = [
            length for start in range(0, len(flat), sort * size) for length in sorted(flat[start : start + sort * size])
        ]
        lengths = [flat[start : start + size] for start in range(0, len(flat), size)]
    padded = sum(len(step) * max(step) for step in lengths)
    return 1 - sum(map(sum, lengths)) / padded


def write(cases: list[Case]) -> None:
    """`train.json` and `.md`, after every case, so that an interrupted run leaves what it has."""
    record = {
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "time": time.strftime("%Y-%m-%d"),
        "cases": [asdict(case) for case in cases],
    }
    write_atomic(OUTPUT / "train.json", json.dumps(record, indent=1) + "\n")
    write_atomic(OUTPUT / "train.md", table(cases))


def table(cases: list[Case]) -> str:
    lines = [
        "# The training step against a plain transformers step",
        "",
        f"`make bench-train` on {hardware()}, {torch.get_num_threads()} threads. SmolLM2-135M, quick's ParGo and its "
        "data. The plain step: transformers' layers with sdpa, a padded batch, `labels=` (logits of the whole "
        "vocabulary at every position), peft's LoRA, the same AdamW. Ratios are medians of paired rounds with 95 % "
        "bootstrap intervals; memory is the peak above what was in use before a step. The floor is the time of our "
        "matrix products alone: no step with these products can be faster than the plain one by more than the bound, "
        "plain / floor.",
        "",
        "| stage | batch | type | layers | samples/s | plain / ours | plain in float32 / ours | ours / floor "
        "| bound | memory ours / plain | padding of the plain batch | MFU | rounds |",
        "|---|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {c.stage} | {c.batch} | {c.dtype} | {c.attention} | {c.batch / c.seconds['ours']:.1f} | {c.speed} "
        f"| {c.speed_float32} | {c.overhead} | {c.bound} | {c.memory:.2f} | {c.padding['in our order']:.1%} "
        f"| {'not known' if c.mfu is None else format(c.mfu, '.1%')} | {c.rounds} |"
        for c in cases
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
