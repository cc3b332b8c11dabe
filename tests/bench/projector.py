"""`make bench-projector`: ParGo against a plain BERT-style version of the same weights, and against its own floor.

Everything is measured side by side in one run: each round times ours, the dense version and the floor (the matrix
products of ours alone) one after the other, and ratios are taken round by round, so that a machine whose speed drifts
does not matter. Nothing here is asserted: what was measured is written to reports/bench/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from torch import Tensor, nn

from pargo.config.projectors import PargoProjector
from pargo.files import write_atomic
from pargo.machine import hardware, versions
from pargo.models.projectors import build_projector
from tests.bench.floor import floor_of
from tests.bench.measure import Ratio, peak_bytes, timed
from tests.models.projectors.dense import DenseParGo

OUTPUT = Path("reports/bench")
NUM_PATCHES, FEATURE_SIZE, LANGUAGE_SIZE, NUM_PARTIAL, NUM_GLOBAL = 576, 1024, 4096, 288, 16
SIZES = {"4 layers of 512": (4, 512), "6 layers of 768": (6, 768)}
BATCHES = (1, 8, 32)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ROUNDS = {1: 21, 8: 15, 32: 3}  # a batch
PASSES = ("forward", "forward + backward")


@dataclass(frozen=True)
class Case:
    """One row: `speed` = dense / ours, `overhead` = ours / floor (times); `memory` = ours / dense (peak bytes)."""

    size: str
    masks: str
    batch: int
    dtype: str
    work: str
    rounds: int
    seconds: dict[str, float]
    bytes: dict[str, int]
    speed: Ratio
    overhead: Ratio
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 layers of 512, batch 8 only; writes nothing")
    quick = parser.parse_args().quick
    console = Console(soft_wrap=True)
    console.print(f"{hardware()}; {torch.get_num_threads()} threads")
    cases = []
    for case in measure(quick):
        cases.append(case)
        console.print(
            f"{case.size}, {case.masks}, batch {case.batch}, {case.dtype}, {case.work}: {case.speed} x faster than "
            f"dense, {case.overhead} x its floor, {case.memory:.2f} of its memory",
            highlight=False,
        )
    if not quick:
        write(cases)
        console.print(f"written: {OUTPUT}/projector.json, .md, .svg, .png")


def measure(quick: bool) -> Iterator[Case]:
    """All cases, one after the other."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for size, (layers, width) in list(SIZES.items())[: 1 if quick else None]:
        for masks in ("cascade", "release"):
            for batch in (8,) if quick or masks == "release" else BATCHES:
                for name, dtype in DTYPES.items():
                    ours = projector(layers, width, masks).to(device, dtype)
                    dense = DenseParGo(ours)
                    features = torch.randn(batch, NUM_PATCHES, FEATURE_SIZE, device=device, dtype=dtype)
                    for work in PASSES:
                        runs = {"ours": bind(ours, features, work), "dense": bind(dense, features, work)}
                        yield case(runs, size=size, masks=masks, batch=batch, dtype=name, work=work)


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
    return build_projector(config, num_patches=NUM_PATCHES, feature_size=FEATURE_SIZE, output_size=LANGUAGE_SIZE)


def bind(module: nn.Module, features: Tensor, work: str) -> Callable[[], None]:
    """A function without arguments that does the work once."""

    @torch.no_grad()
    def forward() -> None:
        module(features)

    def both() -> None:
        tokens = module(features)
        tokens.backward(torch.ones_like(tokens))
        module.zero_grad()  # so that gradients count as memory of the next pass too

    return forward if work == PASSES[0] else both


def case(runs: dict[str, Callable[[], None]], *, batch: int, **names: str) -> Case:
    """Warm up, count memory, then time in rounds."""
    bytes_used = {name: peak_bytes(run) for name, run in runs.items()}
    runs = runs | {"floor": floor_of(runs["ours"])}
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
        overhead=Ratio.of(seconds["ours"], seconds["floor"]),
        memory=bytes_used["ours"] / bytes_used["dense"],
        **names,
    )


# What is written ------------------------------------------------------------------------------------------------------


def write(cases: list[Case]) -> None:
    """`projector.json`, `.md`, and the figure."""
    record = {
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "patches": [NUM_PATCHES, FEATURE_SIZE],
        "tokens": [NUM_PARTIAL, NUM_GLOBAL],
        "cases": [asdict(case) for case in cases],
    }
    write_atomic(OUTPUT / "projector.json", json.dumps(record, indent=1) + "\n")
    write_atomic(OUTPUT / "projector.md", table(cases))
    figure(cases)


def table(cases: list[Case]) -> str:
    lines = [
        "# ParGo's projector against a plain dense-mask version",
        "",
        f"`make bench-projector` on {hardware()}, {torch.get_num_threads()} threads. {NUM_PATCHES} patches of "
        f"{FEATURE_SIZE} channels, {NUM_PARTIAL} partial and {NUM_GLOBAL} global tokens, output {LANGUAGE_SIZE} wide. "
        "The dense version computes the same numbers with the same weights as BERT does, with masks over all tokens "
        "and patches. The floor is the time of our matrix products alone. Ratios are medians of paired rounds with "
        "95 % bootstrap intervals; memory is the peak above what was in use before.",
        "",
        "| projector | masks | batch | type | pass | dense / ours | ours / floor | memory ours / dense | rounds |",
        "|---|---|---:|---|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {c.size} | {c.masks} | {c.batch} | {c.dtype} | {c.work} "
        f"| {c.speed} | {c.overhead} | {c.memory:.2f} | {c.rounds} |"
        for c in cases
    ]
    return "\n".join(lines) + "\n"


def figure(cases: list[Case]) -> None:
    """Speed and overhead of the default masks, by batch."""
    import seaborn as sns
    from matplotlib.figure import Figure

    from pargo.report.style import WIDTH, save, style

    shown = [case for case in cases if case.masks == "cascade"]
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
                axis.set_xticks(range(len(BATCHES)), [str(batch) for batch in BATCHES])
                if row == 0:
                    axis.set_title(size)
                else:
                    axis.set_xlabel("batch (images)")
                if column == 0:
                    axis.set_ylabel(label)
                sns.despine(ax=axis)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=4)
        save(drawing, OUTPUT, "projector")


if __name__ == "__main__":
    main()
