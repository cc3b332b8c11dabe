"""Figures: scores by task, loss curves, and where the tokens look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from pargo.errors import PargoError
from pargo.files import new_files
from pargo.layout import seed_folder
from pargo.report.figure_attention import AttentionMaps, attention_figure
from pargo.report.figure_loss import Curve, loss_figure
from pargo.report.figure_tasks import tasks_figure
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import save, style

STAGES = ("pretrain", "finetune")
METRICS = "metrics.jsonl"


def run(
    settings: ReportSettings,
    scores: Iterable[Path],
    models: Iterable[Path],
    output: Path,
    attention: Sequence[Path] = (),
) -> None:
    """Write the files `pargo.report.settings.FIGURES` into a directory; others in it stay.

    Args:
        scores: score files of all arms, seeds and benchmarks.
        models: model directories of both training stages, `.../<arm>/seed-<n>/{pretrain,finetune}`.
        output: directory of the figures, e.g. `reports/quick/figures`.
        attention: directory of the stage `attention`; without one (no arm has a ParGo projector) its figure says so.

    Raises:
        PargoError: a score or a model of the config is missing.
    """
    loaded = Scores(settings, scores)
    curves = read_curves(settings, models)
    mpl.use("Agg")
    with style(), new_files(output) as directory:
        save(tasks_figure(settings, loaded), directory, "tasks")
        save(loss_figure(settings, curves), directory, "loss")
        save(_attention(settings, attention), directory, "attention")


def _attention(settings: ReportSettings, attention: Sequence[Path]) -> Figure:
    if attention:
        return attention_figure(AttentionMaps.read(attention[0]), settings.vision.num_patches)
    figure = Figure(figsize=(4, 0.6))
    figure.text(0.5, 0.5, "No arm of this configuration has partial and global tokens.", ha="center", va="center")
    return figure


def read_curves(settings: ReportSettings, models: Iterable[Path]) -> dict[str, dict[str, list[Curve]]]:
    """Loss by stage, then arm: one curve a seed, in the config's order.

    Raises:
        PargoError: a model is missing, is none of the config's, or has no metrics.
    """
    found = {(path.parent.parent.name, path.parent.name, path.name): path for path in models}
    curves: dict[str, dict[str, list[Curve]]] = {}
    for stage in STAGES:
        for arm in settings.projectors:
            for seed in settings.seeds:
                path = found.pop((arm, seed_folder(seed), stage), None)
                if path is None:
                    raise PargoError(f"no {stage} model of arm {arm}, seed {seed} given")
                curves.setdefault(stage, {}).setdefault(arm, []).append(_read_curve(path / METRICS))
    if found:
        raise PargoError(f"not models of config {settings.config!r}: {', '.join(map(str, found.values()))}")
    return curves


def _read_curve(path: Path) -> Curve:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise PargoError(f"{path} does not exist: not a trained model") from None
    if not rows:
        raise PargoError(f"{path} is empty: nothing was trained")
    rows = [row for row in rows if row["loss"] is not None]  # a step that was skipped has none
    return Curve(samples=[row["samples"] for row in rows], loss=[row["loss"] for row in rows])
