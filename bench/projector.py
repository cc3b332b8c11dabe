"""`make bench-projector`: ParGo against a plain BERT-style version of the same weights, and against its own floor.

On a GPU ours is compiled by torch.compile, and everything is replayed as a CUDA graph: launching kernels from Python
would take most of the time at these sizes, and say nothing about them. The plain version is measured as it is written
and compiled as well.

Everything is measured side by side in one run: each round times ours, the dense version and the floor (the matrix
products of ours alone) one after the other, and ratios are taken round by round, so that a machine whose speed drifts
does not matter. Nothing here is asserted: what was measured is written to reports/bench/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from torch import Tensor, nn

from bench.floor import floor_of
from bench.measure import Ratio, peak_bytes, timed
from pargo.config.projectors.pargo import PargoProjector
from pargo.files import write_atomic
from pargo.machine import hardware, versions
from pargo.models.projectors import ProjectorShape, build_projector
from tests.helpers.dense_pargo import DenseParGo

OUTPUT = Path("reports/bench")
NUM_PATCHES, FEATURE_SIZE, LANGUAGE_SIZE, NUM_PARTIAL, NUM_GLOBAL = 576, 1024, 4096, 288, 16
SIZES = {"4 layers of 512": (4, 512), "6 layers of 768": (6, 768)}
BATCHES = (1, 8, 32)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ROUNDS = {1: 21, 8: 15, 32: 3}  # a batch
PASSES = ("forward", "forward + backward")


@dataclass(frozen=True)
class Case:
    """One row: `speed` = dense / ours, `overhead` = ours / floor (times); `memory` = ours / dense (peak bytes).

    `speed_compiled`, of a dense version that is compiled as ours is, exists on a GPU alone.
    """

    size: str
    masks: str
    batch: int
    dtype: str
    work: str
    rounds: int
    seconds: dict[str, float]
    bytes: dict[str, int]
    speed: Ratio
    speed_compiled: Ratio | None
    overhead: Ratio
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 layers of 512, batch 8 only; writes nothing")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--types", nargs="*", default=list(DTYPES), choices=DTYPES)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True)
    console.print(f"{hardware()}; {torch.get_num_threads()} threads")
    cases = []
    sizes = list(SIZES)[: 1 if arguments.quick else None]
    for case in measure(sizes, (8,) if arguments.quick else arguments.batches, arguments.types):
        cases.append(case)
        console.print(
            f"{case.size}, {case.masks}, batch {case.batch}, {case.dtype}, {case.work}: {case.speed} x faster than "
            f"dense ({case.speed_compiled or 'not'} compiled), {case.overhead} x its floor, {case.memory:.2f} of its "
            "memory",
            highlight=False,
        )
        if not arguments.quick:
            write(cases)
    if not arguments.quick:
        if not torch.cuda.is_available():
            figure(cases)
        console.print(f"written: {OUTPUT}/{stem()}.json and more")


def measure(sizes: Sequence[str], batches: Sequence[int], types: Sequence[str]) -> Iterator[Case]:
    """All cases, one after the other; the masks of the release at batch 8 only."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for batch in batches:  # the largest last: it takes most of the time
        for masks in ("cascade", "release") if batch == 8 else ("cascade",):
            for size in sizes:
                for dtype in types:
                    ours = projector(*SIZES[size], masks).to(device, DTYPES[dtype])
                    dense = DenseParGo(ours)
                    features = torch.randn(batch, NUM_PATCHES, FEATURE_SIZE, device=device, dtype=DTYPES[dtype])
                    for work in PASSES:
                        floor = floor_of(bind(ours, features, work))
                        ways = {"ours": ours, "dense": dense}
                        if device == "cuda":
                            torch.compiler.reset()
                            ways = {"ours": torch.compile(ours), "dense": dense, "compiled": torch.compile(dense)}
                        runs = {way: bind(module, features, work) for way, module in ways.items()}
                        yield case(runs, floor, size=size, masks=masks, batch=batch, dtype=dtype, work=work)


def projector(layers: int, width: int, masks: str) -> nn.Module:
    """ParGo at the paper's size, with seeded weights."""
    torch.manual_seed(0)
    config = PargoProjector(
        name="pargo",
        num_partial_tokens=NUM_PARTIAL,
        num_global_tokens=NUM_GLOBAL,
        hidden_size=width,
        num_layers=layers,
        num_heads=width // 64,
        intermediate_size=4 * width,
        self_attention=masks,
    )
    return build_projector(config, ProjectorShape(NUM_PATCHES, FEATURE_SIZE, LANGUAGE_SIZE))


def bind(module: nn.Module, features: Tensor, work: str) -> Callable[[], None]:
    """A function without arguments that does the work once."""

    @torch.no_grad()
    def forward() -> None:
        module(features)

    given: list[Tensor] = []

    def both() -> None:
        tokens = module(features)
        if not given:  # made once: filling it is no part of the work
            given.append(torch.ones_like(tokens))
        tokens.backward(given[0])

    return forward if work == PASSES[0] else both


def case(runs: dict[str, Callable[[], None]], floor: Callable[[], None], *, batch: int, **names: str) -> Case:
    """Warm up, count memory, then time in rounds.

    Gradients are added to those of the pass before, so that the memory counted is that of activations.
    """
    bytes_used = {name: peak_bytes(run) for name, run in runs.items()}
    runs = runs | {"floor": floor}
    if torch.cuda.is_available():
        runs = {name: graph(run) for name, run in runs.items()}
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS[batch]):
        for name, run in runs.items():
            seconds[name].append(timed(run))
    return Case(
        batch=batch,
        rounds=ROUNDS[batch],
        seconds={name: median(values) for name, values in seconds.items()},
        bytes=bytes_used,
        speed=Ratio.of(seconds["dense"], seconds["ours"]),
        speed_compiled=Ratio.of(seconds["compiled"], seconds["ours"]) if "compiled" in seconds else None,
        overhead=Ratio.of(seconds["ours"], seconds["floor"]),
        memory=bytes_used["ours"] / bytes_used["dense"],
        **names,
    )


def graph(run: Callable[[], None]) -> Callable[[], None]:
    """A function that does the same on the GPU, ten times, without Python."""
    stream, captured = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(captured):
        run()

    def replay() -> None:
        for _ in range(10):
            captured.replay()

    return replay


# What is written ------------------------------------------------------------------------------------------------------


def write(cases: list[Case]) -> None:
    """The numbers and their table; after every case, so that an interrupted run leaves what it has."""
    record = {
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "patches": [NUM_PATCHES, FEATURE_SIZE],
        "tokens": [NUM_PARTIAL, NUM_GLOBAL],
        "cases": [asdict(case) for case in cases],
    }
    write_atomic(OUTPUT / f"{stem()}.json", json.dumps(record, indent=1) + "\n")
    write_atomic(OUTPUT / f"{stem()}.md", table(cases))


def stem() -> str:
    """Of the files: a GPU, a CPU with AMX and any other CPU are kept side by side."""
    if torch.cuda.is_available():
        return "projector-gpu"
    return "projector-amx" if "amx" in hardware() else "projector"


def table(cases: list[Case]) -> str:
    lines = [
        "# ParGo's projector against a plain dense-mask version",
        "",
        f"`make bench-projector` on {hardware()}, {torch.get_num_threads()} threads. {NUM_PATCHES} patches of "
        f"{FEATURE_SIZE} channels, {NUM_PARTIAL} partial and {NUM_GLOBAL} global tokens, output {LANGUAGE_SIZE} wide. "
        "The dense version computes the same numbers with the same weights as BERT does, with masks over all tokens "
        "and patches. The floor is the time of our matrix products alone. Ratios are medians of paired rounds with "
        "95 % bootstrap intervals; memory is the peak above what was in use before."
        + (
            " All are replayed as CUDA graphs, ours compiled by torch.compile; the dense version as it is written and "
            "compiled as well."
            if torch.cuda.is_available()
            else ""
        ),
        "",
        "| projector | masks | batch | type | pass | dense / ours | compiled dense / ours | ours / floor "
        "| memory ours / dense | rounds |",
        "|---|---|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {c.size} | {c.masks} | {c.batch} | {c.dtype} | {c.work} "
        f"| {c.speed} | {c.speed_compiled or 'not measured'} | {c.overhead} | {c.memory:.2f} | {c.rounds} |"
        for c in cases
    ]
    return "\n".join(lines) + "\n"


def figure(cases: list[Case]) -> None:
    """Speed and overhead of the default masks, by batch."""
    import seaborn as sns
    from matplotlib.figure import Figure

    from pargo.report.style import WIDTH, save, style

    shown = [case for case in cases if case.masks == "cascade"]
    batches = sorted({case.batch for case in shown})
    colors = dict(zip(DTYPES, sns.color_palette("colorblind", 2), strict=True))
    with style():
        drawing = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = drawing.subplots(2, 2, sharex=True, sharey="row")
        for row, (label, reference) in enumerate((("dense / ours (time)", 1.0), ("ours / floor (time)", 1.0))):
            for column, size in enumerate(SIZES):
                axis = axes[row, column]
                axis.axhline(reference, color="0.6", linewidth=0.8)
                for work, marker in zip(PASSES, "os", strict=True):
                    for dtype, color in colors.items():
                        points = [c for c in shown if (c.size, c.work, c.dtype) == (size, work, dtype)]
                        ratios = [c.speed if row == 0 else c.overhead for c in points]
                        values = [ratio.value for ratio in ratios]
                        errors = [[r.value - r.low for r in ratios], [r.high - r.value for r in ratios]]
                        axis.errorbar(
                            range(len(points)),
                            values,
                            yerr=errors,
                            marker=marker,
                            color=color,
                            linestyle="-" if marker == "o" else "--",
                            markersize=5,
                            capsize=2,
                            linewidth=1.2,
                            label=f"{dtype}, {work}",
                        )
                axis.set_xticks(range(len(batches)), [str(batch) for batch in batches])
                if row == 0:
                    axis.set_title(size)
                else:
                    axis.set_xlabel("batch (images)")
                if column == 0:
                    axis.set_ylabel(label)
                sns.despine(ax=axis)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=4)
        save(drawing, OUTPUT, stem())


if __name__ == "__main__":
    main()
