"""Figures: the declared files, the same bytes each time, and maps that mean what their labels say."""

from __future__ import annotations

import csv
import json
import os
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from safetensors.torch import load_file

from pargo.config.benchmarks.details import Details
from pargo.errors import PargoError
from pargo.report import attention, figures, training
from pargo.report.arms import learning_groups, num_samples
from pargo.report.attention_files import AttentionMaps
from pargo.report.figure_attention import relative
from pargo.report.figure_differences import differences_figure
from pargo.report.figure_learning import _seen, learning_figure
from pargo.report.figure_loss import running_mean
from pargo.report.figure_scores import scores_figure, tasks_figure
from pargo.report.scores import Scores
from pargo.report.settings import figure_files
from pargo.report.style import COLORS, MARKERS, arm_colors, arm_markers, style
from pargo.report.training_file import Training, read_training


def test_same_files_and_bytes_twice(project, tmp_path):
    names = figure_files(project.settings.benchmarks)
    for name in ("first", "second"):
        project.figures(tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == sorted(names)
    for name in names:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes()
        if name.startswith("learning."):
            continue  # a sentence: there is nothing to draw
        assert len(content) > (5000 if not name.endswith("csv") else 50)
        if name.endswith("png"):
            assert Image.open(tmp_path / "first" / name).width == 1440


def test_an_error_in_the_last_figure_leaves_all_as_they_were(project, tmp_path):
    output, names = tmp_path / "figures", figure_files(project.settings.benchmarks)
    output.mkdir()
    for name in (*names, "of a person"):
        (output / name).write_text("old")
    (tmp_path / ".figures.new").mkdir()  # as a kill leaves it
    with pytest.raises(FileNotFoundError):
        figures.run(project.settings, project.scores, project.train(), output, [tmp_path / "no attention"])
    assert {path.name: path.read_text() for path in output.iterdir()} == dict.fromkeys((*names, "of a person"), "old")
    project.figures(output)
    assert [path.name for path in output.iterdir() if path.read_bytes() == b"old"] == ["of a person"]
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


def test_a_matplotlibrc_of_the_user_changes_nothing():
    with mpl.rc_context({"lines.linewidth": 9.0, "hatch.linewidth": 9.0}):
        with style():
            assert mpl.rcParams["hatch.linewidth"] == mpl.rcParamsDefault["hatch.linewidth"]
            assert mpl.rcParams["svg.hashsalt"] == "pargo"
        assert mpl.rcParams["hatch.linewidth"] == 9.0


def test_points_are_the_scores(project):
    drawn = scores_figure(project.settings, Scores(project.settings, project.scores))
    for axis, benchmark, scale in zip(drawn.figure.axes, ("mini_mme", "easy_vqa"), (1, 100), strict=True):
        points = [container.lines[0].get_xdata()[0] for container in axis.containers]
        for value, arm in zip(points, project.settings.projectors, strict=True):
            record = json.loads(project.layout.score(arm, 0, benchmark).read_text())
            assert value == pytest.approx(record["headline"]["value"] * scale)
    tasks = tasks_figure(project.settings, Scores(project.settings, project.scores), "mini_mme")
    assert [axis.get_title() for axis in tasks.figure.axes] == ["Existence", "Count", "Position", "Color", "OCR"]


def test_the_numbers_beside_a_figure_are_those_that_it_draws(two_seeds, tmp_path):
    two_seeds.figures(tmp_path)
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for arm in two_seeds.settings.projectors:
        found = {row["what"]: float(row["value"]) for row in rows if (row["panel"], row["arm"]) == ("mini-MME", arm)}
        seeds = [
            json.loads(two_seeds.layout.score(arm, seed, "mini_mme").read_text())["headline"]["value"]
            for seed in (0, 1)
        ]
        assert found == pytest.approx({"mean": sum(seeds) / 2, "seed 0": seeds[0], "seed 1": seeds[1]})


def test_several_seeds_and_no_attention_maps_can_be_drawn(two_seeds, tmp_path):
    figures.run(two_seeds.settings, two_seeds.scores, two_seeds.train(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(figure_files(two_seeds.settings.benchmarks))


def test_differences_are_those_of_the_claims(two_seeds, tmp_path):
    two_seeds.tables(tmp_path)
    with (tmp_path / "claims.csv").open(newline="", encoding="utf-8") as file:
        claims = {row["row"]: row for row in csv.DictReader(file)}
    drawn = differences_figure(two_seeds.settings, Scores(two_seeds.settings, two_seeds.scores))
    others = [arm for arm in two_seeds.settings.projectors if arm != "pargo"]
    assert [row["minus"] for row in drawn.rows] == others * len(two_seeds.settings.benchmarks)
    for row in drawn.rows:
        claim = claims[f"pargo_minus_{row['minus']}_{row['benchmark']}"]
        assert [claim[f"difference{end}"] for end in ("", "_low", "_high")] == [
            str(row[key]) for key in ("value", "low", "high")
        ]


def test_learning_curves_are_of_arms_that_differ_in_numbers_of_samples_alone(two_seeds):
    scores, trained = Scores(two_seeds.settings, two_seeds.scores), read_training(two_seeds.train())
    assert learning_groups(two_seeds.settings, trained) == []
    assert learning_figure(two_seeds.settings, scores, trained).rows == []
    same = two_seeds.settings.projectors | {"qformer": two_seeds.settings.projectors["pargo"]}
    settings = two_seeds.settings.model_copy(update={"projectors": same})
    assert learning_groups(settings, trained) == []  # of two that are the same there is no curve
    ours = trained.settings["pargo"]

    def with_rival(**numbers: int) -> Training:
        rival = {stage: of | {"num_samples": numbers.get(stage, of["num_samples"])} for stage, of in ours.items()}
        return trained.model_copy(update={"settings": trained.settings | {"qformer": rival}})

    pretrain, finetune = (ours[stage]["num_samples"] for stage in ("pretrain", "finetune"))
    less = with_rival(pretrain=pretrain // 2, finetune=finetune // 2)
    assert learning_groups(settings, less) == [["qformer", "pargo"]]
    # more of one training and less of the other is no place on a curve
    assert learning_groups(settings, with_rival(pretrain=pretrain // 2, finetune=2 * finetune)) == []
    drawn = learning_figure(settings, scores, less)
    means = [row for row in drawn.rows if (row["benchmark"], row["what"]) == ("mini_mme", "mean")]
    whole = pretrain + finetune
    assert [row["images"] for row in means] == [whole // 2, whole]
    line = drawn.figure.axes[0].containers[0].lines[0]
    assert list(line.get_ydata()) == [row["value"] for row in means]
    other = less.settings | {
        "qformer": less.settings["qformer"] | {"finetune": ours["finetune"] | {"learning_rate": 1.0}}
    }
    assert learning_groups(settings, less.model_copy(update={"settings": other})) == []


def test_images_of_alignment_count_and_those_after_the_question_do_not(two_seeds):
    trained = read_training(two_seeds.train())

    def aligned(number: int) -> dict:
        stages = trained.settings["pargo"]
        return stages | {"pretrain": stages["pretrain"] | {"alignment": {"num_samples": number, "batch_size": 16}}}

    same = two_seeds.settings.projectors | {"qformer": two_seeds.settings.projectors["pargo"]}
    settings = two_seeds.settings.model_copy(update={"projectors": same})
    more = trained.settings | {"pargo": aligned(320), "qformer": aligned(160)}
    training = trained.model_copy(update={"settings": more})
    assert learning_groups(settings, training) == [["qformer", "pargo"]]
    pretrain, finetune = (trained.settings["pargo"][stage]["num_samples"] for stage in ("pretrain", "finetune"))
    assert num_samples(training, "pargo") == (320, pretrain, finetune)
    assert _seen(settings, training, "mini_mme", "pargo") == 320 + pretrain + finetune
    early = Details(kind="details", source="mini_mme", split="test")
    asked = settings.model_copy(update={"benchmarks": {"details": early}})
    assert _seen(asked, training, "details", "pargo") == 320 + pretrain


def test_speed_is_of_the_notes_that_were_written_while_the_model_was_trained(tmp_path):
    def noted(name: str, steps: list[int], seconds: float, written: float) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps({"step": step, "seconds": seconds}) + "\n" for step in steps))
        os.utime(path, (written, written))
        return path

    record = {"started": "1970-01-01T00:16:40+00:00", "seconds": 100.0}  # 1,000 to 1,100
    earlier, later = noted("a", [1, 2], 9.0, 900), noted("c", [1, 2], 9.0, 1200)
    # the second step was made twice, as the first sitting was killed after it
    own = noted("b", [1, 2, 2], 2.0, 1050)
    assert training._speed(record, 16, 8, [earlier, own, later]) == 16 / 4
    assert training._speed(record, 24, 8, [own]) is None  # one step of three is not there
    assert training._speed(record, 16, 8, [earlier, later]) is None
    assert training._speed(record, 16, 8, [own, noted("d", [1, 2], 1.0, 1040)]) is None  # which of them?
    assert training._speed({}, 16, 8, [own]) is None  # restored


def test_a_missing_model_is_named(project, tmp_path):
    with pytest.raises(PargoError, match="no finetune model of arm mlp, seed 0"):
        training.run(project.settings, project.models[:-1], tmp_path / "training.json")


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB: how a dichromat sees a colour
DICHROMATS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def closest(colors, matrix) -> float:
    """The smallest distance in linear RGB between any two of the colours, as a dichromat sees them."""
    seen = np.array([to_rgb(color) for color in colors]) ** 2.2 @ np.array(matrix).T
    return min(np.linalg.norm(first - second) for first, second in combinations(seen, 2))


@pytest.mark.parametrize("matrix", DICHROMATS.values(), ids=DICHROMATS)
def test_dichromats_can_tell_the_arms_apart(project, matrix):
    assert closest(["#8f8f00", "#b38000"], DICHROMATS["deuteranopia"]) < 0.1
    assert closest(arm_colors(project.settings).values(), matrix) > 0.15
    assert closest(COLORS, matrix) > 0.015
    assert len({*COLORS}) == len({*MARKERS}) == 15
    assert len(set(arm_markers(project.settings).values())) == len(project.settings.projectors)


def test_running_mean_of_a_line_is_the_line_inside_and_of_a_constant_everywhere():
    assert running_mean(np.arange(20.0), 5)[2:-2] == pytest.approx(np.arange(20.0)[2:-2])
    assert running_mean([3.0] * 7, 4) == pytest.approx([3.0] * 7)
    assert running_mean([1.0, 5.0], 1) == pytest.approx([1.0, 5.0])


def test_attention_maps_are_probabilities_within_what_each_token_sees(project):
    maps = AttentionMaps.read(project.attention[0])
    assert maps.maps.shape == (3, 25, 100)
    assert maps.maps.sum(-1) == pytest.approx(np.ones((3, 25)), abs=1e-5)
    group = 100 // maps.num_partial
    for token in range(maps.num_partial):
        outside = np.delete(maps.maps[:, token], np.s_[token * group : (token + 1) * group], axis=1)
        assert not outside.any()
    assert (maps.maps[:, maps.num_partial :] > 0).all()
    assert len({name.split("/")[0] for name in maps.names}) == 3
    assert relative(np.full(5, 0.2), 5) == pytest.approx(np.ones(5))


def test_attention_needs_the_weights_of_its_projector(project, tmp_path):
    directory = project.layout.model("pargo", 0, "finetune")
    settings = attention.AttentionSettings(
        vision=project.settings.vision, projector=project.settings.projectors["pargo"], split="test", count=3
    )
    loaded = attention.load_projector(settings, directory / "model.safetensors").state_dict()
    for name, tensor in load_file(directory / "model.safetensors").items():
        assert (loaded[name.removeprefix("projector.")] == tensor).all()
    other = project.layout.model("qformer", 0, "finetune")
    with pytest.raises(PargoError, match="not of this projector"):
        attention.load_projector(settings, other / "model.safetensors")
    with pytest.raises(PargoError, match="31 images asked for, the source has 30"):
        attention.spread([str(i) for i in range(30)], 31)
