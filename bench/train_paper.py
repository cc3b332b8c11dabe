"""`make bench-train`, second half: our training step against the plain one at the paper's size, with random weights.

The released ParGo (304 tokens of 576 patches) on language models of SmolLM2-135M's shape, and on a GPU also of a 7B
Llama's, which InternLM2-7B resembles. Speed does not depend on what the weights are, so there is nothing to download;
text lengths are drawn as stated in `TEXTS`. What is compared is what `bench.train` compares; the plain step also
with the vision encoder in its loop, where ours reads stored features. Nothing is asserted: results go to
reports/bench/.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from bench.measure import Ratio, peak_bytes, timed
from bench.train import OUTPUT, plain_loss, take_step
from pargo.config.models import Adapter
from pargo.config.training import Train
from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded
from pargo.files import write_atomic
from pargo.machine import hardware, versions
from pargo.models.configuration import RELEASED_PROJECTOR, PargoConfig
from pargo.models.language import add_lora, resolve_precision
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.models.vision import PargoVisionConfig, VisionTower
from pargo.models.vlm import PargoForConditionalGeneration, PargoModel, Parts
from pargo.train.attention import choose_attention
from pargo.train.batch import Batch, Sample, collate
from pargo.train.loss import Objective
from pargo.train.precision import compute_lora_in_model_precision
from pargo.train.speed import peak_flops, step_flops

TOWER = PargoVisionConfig(
    architecture="eva02_large_patch14_clip_336", image_size=336, num_patches=576, feature_size=1024
)
SMOLLM2 = {"vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
SMOLLM2 |= {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}
LANGUAGES: dict[str, dict[str, Any]] = {"SmolLM2-135M": SMOLLM2, "Llama-7B": {}}  # LlamaConfig's defaults are the 7B's
TEXTS = {"pretraining": ((1, 1), (60, 160)), "LoRA fine-tuning": ((40, 120), (10, 60))}  # tokens asked, answered
LORA = Adapter(rank=256, alpha=512, target_modules=("q_proj", "k_proj", "v_proj"))  # as released, without its dropout


@dataclass(frozen=True)
class Case:
    """One row: ratios of time are others / ours; `memory` is ours / plain."""

    language: str
    stage: str
    batch: int
    attention: str
    rounds: int
    tokens: int
    seconds: dict[str, float]
    bytes: dict[str, int]
    speed: Ratio
    speed_with_encoder: Ratio
    memory: float
    mfu: dict[str, float] | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--batch", type=int, nargs="*", default=[8] if on_gpu else [4], help="samples of a step")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True)
    console.print(f"{hardware()}; {torch.get_num_threads()} threads")
    cases = []
    for language in LANGUAGES if on_gpu else ["SmolLM2-135M"]:
        for stage in TEXTS:
            for batch in arguments.batch:
                case = measure(language, stage, batch, arguments.rounds)
                cases.append(case)
                write(cases)
                console.print(
                    f"{language}, {stage}, batch {batch}, {case.attention}: {batch / case.seconds['ours']:.1f} "
                    f"samples/s; {case.speed} x the plain step, {case.speed_with_encoder} x with the encoder in it; "
                    f"{case.memory:.2f} of the plain memory",
                    highlight=False,
                )
    console.print(f"written: {OUTPUT}/{stem()}.json, .md")


def measure(language: str, stage: str, batch: int, rounds: int) -> Case:
    """Warm up, count memory, then time in rounds; every round trains on other samples."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lora = None if stage == "pretraining" else LORA
    models = {kind: random_model(kind, language, lora, device) for kind in (PargoModel, PargoForConditionalGeneration)}
    ours, plain = models.values()
    compute_lora_in_model_precision(ours)
    train = Train.model_construct(zero_stage=2)
    attention = choose_attention(ours, "auto", train)
    objective = Objective(ours, fused=attention == "fused")
    if attention != "fused":
        ours.language_model.set_attn_implementation(attention)
    precision = resolve_precision("auto")
    tower = VisionTower(TOWER).to(device, precision).eval()
    pixels = torch.randn(batch, 3, 336, 336, device=device, dtype=precision)

    def with_encoder(data: Batch) -> Tensor:
        with torch.no_grad():
            tower(pixels)
        return plain_loss(plain, data)

    samples = [draw(stage, batch, seed) for seed in range(rounds + 1)]
    put = partial(collate, num_image_tokens=ours.projector.num_tokens, image_token_id=ours.config.image_token_id)
    packed, padded = ([put(part, packing=packing) for part in samples] for packing in (True, False))
    ways: dict[str, tuple[nn.Module, Callable[[Batch], Tensor], list[Batch]]] = {
        "ours": (objective, objective, packed),
        "ours, padded": (objective, objective, padded),
        "plain": (plain, partial(plain_loss, plain), padded),
        "plain, encoder": (plain, with_encoder, padded),
    }
    runs = {}
    for name, (module, loss, batches) in ways.items():
        runs[name] = partial(run, take_step(module, loss), batches, device)
    memory = {name: peak_bytes(lambda once=once: once(0)) for name, once in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(1, rounds + 1):
        for name, once in runs.items():
            seconds[name].append(timed(lambda once=once, number=number: once(number)))
    return Case(
        language=language,
        stage=stage,
        batch=batch,
        attention=attention,
        rounds=rounds,
        tokens=sum(data.input_ids.numel() for data in packed[1:]) // rounds,
        seconds={name: median(values) for name, values in seconds.items()},
        bytes=memory,
        speed=Ratio.of(seconds["plain"], seconds["ours"]),
        speed_with_encoder=Ratio.of(seconds["plain, encoder"], seconds["ours"]),
        memory=memory["ours"] / memory["plain"],
        mfu=utilisation(ours, packed[1:], {name: median(values) for name, values in seconds.items()}),
    )


def random_model(kind: type[PargoModel], language: str, lora: Adapter | None, device: str) -> Any:
    """Random weights of the paper's size; bf16 but for what is trained."""
    torch.manual_seed(0)
    text = LlamaConfig(**LANGUAGES[language])
    with torch.device(device):
        model = LlamaForCausalLM._from_config(text, dtype=torch.bfloat16).requires_grad_(False)
        config = PargoConfig(vision_config=TOWER, text_config=text, projector_config=RELEASED_PROJECTOR)
        projector = build_projector(config.projector, ProjectorShape(576, 1024, text.hidden_size))
    if lora is not None:
        add_lora(model, lora, seed=0)
    return kind(config, Parts(model, projector)).to(device).train()


def draw(stage: str, batch: int, seed: int) -> list[Sample]:
    """Features and texts of a step."""
    random = torch.Generator().manual_seed(seed)
    samples = []
    for number in range(batch):
        asked, answered = (int(torch.randint(low, high + 1, (), generator=random)) for low, high in TEXTS[stage])
        ids = torch.randint(10, 30000, (asked + answered,), generator=random).tolist()
        text = Encoded((IMAGE, *ids), (*[IGNORE_INDEX] * (asked + 1), *ids[asked:]))
        samples.append(Sample(str(number), torch.randn(576, 1024, generator=random), text))
    return samples


def run(step: Callable[[Batch, int], None], batches: list[Batch], device: str, number: int) -> None:
    """One optimizer step."""
    data = batches[number].to(torch.device(device))
    step(data, int((data.labels != IGNORE_INDEX).sum()))


def utilisation(model: PargoModel, batches: list[Batch], seconds: dict[str, float]) -> dict[str, float] | None:
    """Model FLOPs utilisation of each way where the peak is known, of a mean step; padding is no useful work."""
    peak = peak_flops()
    if peak is None:
        return None
    pairs = [(data.input_ids.numel(), int((data.labels != IGNORE_INDEX).sum())) for data in batches]
    flops = sum(step_flops(model, *pair) for pair in pairs) / len(pairs)
    return {name: flops / taken / peak for name, taken in seconds.items()}


def write(cases: list[Case]) -> None:
    """The numbers and their table, after every case, so that an interrupted run leaves what it has."""
    record = {
        "hardware": hardware(),
        "versions": versions(),
        "time": time.strftime("%Y-%m-%d"),
        "cases": [asdict(case) for case in cases],
    }
    write_atomic(OUTPUT / f"{stem()}.json", json.dumps(record, indent=1) + "\n")
    write_atomic(OUTPUT / f"{stem()}.md", table(cases))


def stem() -> str:
    """Of the files: runs on a CPU and on a GPU are kept side by side."""
    return "train-paper-gpu" if torch.cuda.is_available() else "train-paper"


def table(cases: list[Case]) -> str:
    lines = [
        "# The training step at the paper's size",
        "",
        f"`make bench-train` on {hardware()}, torch {versions()['torch']}. Random weights in bf16, trained parts "
        "in float32; the released ParGo with 304 tokens; text lengths as in the bench's source. Plain: transformers' "
        "layers with sdpa on a padded batch and `labels=` (logits of the whole vocabulary at every position). With "
        "encoder: EVA-02-CLIP-L/14-336 runs in the plain step, where ours reads stored features. MFU counts tokens "
        "that are no padding. Ratios are medians of paired rounds with 95 % bootstrap intervals; memory is the peak "
        "above what was in use before a step.",
        "",
        "| language model | stage | batch | tokens | layers | samples/s | padded | plain / ours | with encoder / ours "
        "| memory ours / plain | MFU ours | padded | plain | rounds |",
        "|---|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {c.language} | {c.stage} | {c.batch} | {c.tokens:,} | {c.attention} | {c.batch / c.seconds['ours']:.1f} "
        f"| {c.batch / c.seconds['ours, padded']:.1f} | {c.speed} | {c.speed_with_encoder} | {c.memory:.2f} "
        f"| {' | '.join(percent(c.mfu, way) for way in ('ours', 'ours, padded', 'plain'))} | {c.rounds} |"
        for c in cases
    ]
    return "\n".join(lines) + "\n"


def percent(shares: dict[str, float] | None, way: str) -> str:
    return "not known" if shares is None else f"{shares[way]:.1%}"


if __name__ == "__main__":
    main()
