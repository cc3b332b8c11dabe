"""Training loss of all arms in both stages: every step faint, a running mean on top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pargo.report import words
from pargo.report.settings import ReportSettings
from pargo.report.style import GRAY, MARKER, WIDTH, Drawn, arm_colors, arm_markers, plain
from pargo.report.training_file import STAGES, Curve, Training

TITLES = {"pretrain": "Pretraining on captions", "finetune": "Fine-tuning on conversations"}
WINDOW, LEAST = 0.05, 5  # of the steps; steps
MARKERS = 5  # per line
POINTS = 1000  # of a line


def running_mean(values: Sequence[float], window: int) -> np.ndarray:
    """Mean over the values at most half a window away; at the ends over those that exist."""
    half, total = window // 2, np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


def _mark_every(length: int, index: int, arms: int) -> tuple[int, int]:
    """First marker and distance of markers along a line; those of the arms take turns, so none hides another."""
    step = max(1, length // MARKERS)
    return min(length - 1, step * (2 * index + 1) // (2 * arms)), step


def loss_figure(settings: ReportSettings, training: Training) -> Drawn:
    """One panel a stage; with several seeds the line is their mean."""
    curves = {
        stage: {arm: [training.run(arm, seed, stage).curve for seed in settings.seeds] for arm in settings.projectors}
        for stage in STAGES
    }
    figure = Figure(figsize=(WIDTH, 2.7 + 0.2 * ((len(settings.projectors) + 3) // 4)), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False)[0]
    for axis, (stage, by_arm) in zip(axes, curves.items(), strict=True):
        _draw(axis, stage, by_arm, settings)
        found = [of[stage].get("alignment") for of in training.settings.values()]
        if aligned := {alignment["num_samples"] for alignment in found if alignment}:
            numbers = " or ".join(f"{number:,}" for number in sorted(aligned))
            axis.set_title(f"{TITLES[stage]},\nafter alignment with {numbers} images")
    axes[0].set_ylabel("Loss (nats per token, log scale)")
    handles, labels = axes[0].get_legend_handles_labels()
    several = len(settings.seeds) > 1
    handles += [Line2D([], [], color=GRAY, linewidth=0.5, alpha=0.5), Line2D([], [], color=GRAY, linewidth=1.8)]
    labels += ["One seed, each step" if several else "Each step", "Mean of seeds, smoothed" if several else "Smoothed"]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(labels) < 5 else 3)
    return Drawn(figure, [row for stage, by_arm in curves.items() for row in _data(settings, stage, by_arm)])


def _data(settings: ReportSettings, stage: str, by_arm: dict[str, list[Curve]]) -> list[dict[str, object]]:
    return [
        {"stage": stage, "arm": arm, "seed": seed, "samples": samples, "loss": loss}
        for arm, curves in by_arm.items()
        for seed, curve in zip(settings.seeds, curves, strict=True)
        for samples, loss in zip(*thinned(curve.samples, curve.loss), strict=True)
    ]


def thinned(samples: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """At most about `POINTS` of a curve's points, evenly."""
    step = -(-len(samples) // POINTS) or 1
    return list(samples[::step]), list(values[::step])


def _draw(axis: Axes, stage: str, by_arm: dict[str, list[Curve]], settings: ReportSettings) -> None:
    names, colors, markers = words.projectors(settings), arm_colors(settings), arm_markers(settings)
    for index, (arm, curves) in enumerate(by_arm.items()):
        for curve in curves:
            axis.plot(*thinned(curve.samples, curve.loss), color=colors[arm], alpha=0.22, linewidth=0.5, zorder=1)
        samples = np.asarray(curves[0].samples)
        # by samples seen and not by place: a step that was skipped has no loss
        smooth = np.mean(
            [
                np.interp(samples, curve.samples, running_mean(curve.loss, max(LEAST, round(WINDOW * len(curve.loss)))))
                for curve in curves
            ],
            axis=0,
        )
        places, smooth = thinned(samples.tolist(), smooth.tolist())
        axis.plot(
            places,
            smooth,
            color=colors[arm],
            linewidth=1.8,
            marker=markers[arm],
            markevery=_mark_every(len(places), index, len(by_arm)),
            label=names[arm],
            zorder=3,
            **MARKER,
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_xlim(left=0)
    axis.set_title(TITLES[stage])
    axis.set_xlabel("Images seen")
    plain(axis, "y")
