"""Figures: scores, their differences, scores by task, cost, loss and learning curves, and where the tokens look."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl

from pargo.files import new_files
from pargo.report import words
from pargo.report.attention_files import INDEX, AttentionMaps
from pargo.report.figure_attention import attention_figure
from pargo.report.figure_cost import cost_figure
from pargo.report.figure_coverage import coverage_figure
from pargo.report.figure_differences import differences_figure
from pargo.report.figure_learning import learning_figure
from pargo.report.figure_loss import loss_figure
from pargo.report.figure_scores import scores_figure, tasks_figure
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.style import Drawn, message, save_drawn, style
from pargo.report.training_file import read_training


def run(
    settings: ReportSettings,
    scores: Iterable[Path],
    training: Path,
    output: Path,
    attention: Sequence[Path] = (),
) -> None:
    """Write the files `pargo.report.settings.figure_files` into a directory; others in it stay.

    Args:
        scores: score files of all arms, seeds and benchmarks.
        training: file of the stage `report_training`.
        output: directory of the figures, e.g. `reports/quick/figures`.
        attention: directories of the stage `attention`, `.../<arm>/seed-<n>`, the headline arm's first.

    Raises:
        PargoError: a score of the config is missing, or `training` is broken.
    """
    loaded, trained = Scores(settings, scores), read_training(training)
    found = {path.parent.name: json.loads((path / INDEX).read_text(encoding="utf-8"))["groups"] for path in attention}
    mpl.use("Agg")
    with style(), new_files(output) as directory:
        save_drawn(scores_figure(settings, loaded), directory, "scores")
        save_drawn(differences_figure(settings, loaded), directory, "differences")
        save_drawn(cost_figure(settings, loaded, trained), directory, "cost")
        save_drawn(loss_figure(settings, trained), directory, "loss")
        save_drawn(learning_figure(settings, loaded, trained), directory, "learning")
        save_drawn(_attention(settings, attention), directory, "attention")
        save_drawn(coverage_figure(settings, found), directory, "coverage")
        for benchmark in settings.benchmarks:
            save_drawn(tasks_figure(settings, loaded, benchmark), directory, f"{benchmark}-tasks")


def _attention(settings: ReportSettings, attention: Sequence[Path]) -> Drawn:
    """Maps of the first arm that has partial tokens."""
    for path in attention:
        maps = AttentionMaps.read(path)
        if maps.num_partial:
            arm, benchmark = words.projectors(settings)[path.parent.name], next(iter(settings.benchmarks))
            title = f"{arm}, on images of {words.benchmark(settings, benchmark)}"
            return Drawn(attention_figure(maps, settings.vision.num_patches, title), maps.rows())
    return Drawn(message("No arm of this configuration has partial and global tokens."), [])
