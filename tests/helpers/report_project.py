"""A small finished run, made without training: real sources and scorers, random weights, seeded answers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from pargo.benchmarks import load
from pargo.benchmarks.records import PREDICTIONS, Prediction, write_predictions
from pargo.benchmarks.scores.score import ScoreSettings
from pargo.benchmarks.scores.score import run as score
from pargo.config.benchmarks.details import Details
from pargo.config.benchmarks.easy_vqa import EasyVQA
from pargo.config.benchmarks.mini_mme import MiniMME
from pargo.config.models import Language, LoRA, Vision
from pargo.config.projectors.mlp import MLPProjector
from pargo.config.projectors.pargo import PargoProjector
from pargo.config.projectors.qformer import QFormerProjector
from pargo.config.report import Report
from pargo.config.training import Finetune, Pretrain
from pargo.data.annotations import KINDS
from pargo.data.feature_store import write_features
from pargo.data.shards import ShardWriter
from pargo.layout import Layout
from pargo.manifest import publish
from pargo.models.projectors import ProjectorShape, build_projector
from pargo.report import answers, attention, figures, page, tables, training
from pargo.report.settings import ReportSettings
from pargo.sources.mini_mme import write_mini_mme
from pargo.sources.scene_source import write_scenes

CODE = [Path(__file__)]
STEPS: dict[str, Any] = {
    "mixture": {"scenes": 1.0},
    "num_samples": 320,
    "batch_size": 8,
    "micro_batch_size": 8,
    "learning_rate": 1e-3,
}
TRAIN = {"pretrain": Pretrain(**STEPS), "finetune": Finetune(**STEPS, lora=LoRA(rank=4, alpha=8, learning_rate=1e-3))}
SKILL = {"pargo": 0.78, "qformer": 0.66, "mlp": 0.72}


def make_settings(seeds: tuple[int, ...] = (0,), *, details: bool = False) -> ReportSettings:
    wide = {"hidden_size": 64, "num_layers": 3, "num_heads": 4, "intermediate_size": 128}
    return ReportSettings(
        config="synthetic",
        seeds=seeds,
        vision=Vision(source="tower", architecture="a", image_size=160, num_patches=100, feature_size=32),
        language=Language(source="words"),
        projectors={
            "pargo": PargoProjector(name="pargo", num_partial_tokens=20, num_global_tokens=5, **wide),
            "qformer": QFormerProjector(name="qformer", num_tokens=25, **wide),
            "mlp": MLPProjector(name="mlp", adjacent_patches=4, hidden_size=96),
        },
        benchmarks={
            "mini_mme": MiniMME(kind="mini_mme", source="mini_mme"),
            "easy_vqa": EasyVQA(kind="easy_vqa", source="easy_vqa"),
        }
        | ({"details": Details(kind="details", source="scenes", split="train")} if details else {}),
        report=Report(
            title="ParGo: partial and global views",
            scale="toy scale",
            headline_arm="pargo",
            reference_arm="qformer",
            bootstrap_samples=200,
        ),
    )


class Project:
    """A finished run of a config in the current directory."""

    def __init__(self, settings: ReportSettings) -> None:
        self.settings = settings
        self.layout = Layout(settings.config)
        self.runs = [(arm, seed) for arm in settings.projectors for seed in settings.seeds]

    def make(self, images_per_task: int, num_steps: int) -> None:
        """Make all artifacts and scores."""
        self._sources(images_per_task)
        for arm, seed in self.runs:
            self._models(arm, seed, num_steps)
            for benchmark in self.settings.benchmarks:
                self._predictions(arm, seed, benchmark)
        self._attention()

    def train(self, output: Path | None = None) -> Path:
        """`training.json` of this config, in the project's place or another."""
        training.run(self.settings, self.models, output or self.layout.training)
        return output or self.layout.training

    def tables(self, output: Path, settings: ReportSettings | None = None) -> Path:
        """All tables, in a folder."""
        tables.run(settings or self.settings, self.scores, self.train(), output)
        return output

    def figures(self, output: Path) -> Path:
        """All figures, in a folder."""
        figures.run(self.settings, self.scores, self.train(), output, self.attention)
        return output

    def answers(self, output: Path) -> Path:
        """All answers, in a folder."""
        answers.run(self.settings, self.scores, self.predictions, output)
        return output

    def report(self, folder: Path) -> Path:
        """All of the report, in a folder; the page's path."""
        self.tables(folder / "tables"), self.figures(folder / "figures"), self.answers(folder / "answers")
        return self.page(folder, folder / "index.html")

    def page(self, folder: Path, output: Path, settings: ReportSettings | None = None) -> Path:
        """The page alone, of the other parts of the report in a folder."""
        parts = self.layout.training, folder / "answers", folder / "tables", folder / "figures"
        page.run(settings or self.settings, list(reversed(self.scores)), *parts, output, self.attention)
        return output

    @property
    def predictions(self) -> list[Path]:
        return [
            self.layout.predictions(arm, seed, name) for arm, seed in self.runs for name in self.settings.benchmarks
        ]

    @property
    def scores(self) -> list[Path]:
        return [self.layout.score(arm, seed, name) for arm, seed in self.runs for name in self.settings.benchmarks]

    @property
    def models(self) -> list[Path]:
        return [self.layout.model(arm, seed, stage) for arm, seed in self.runs for stage in ("pretrain", "finetune")]

    @property
    def attention(self) -> list[Path]:
        return [self.layout.attention(arm, self.settings.seeds[0]) for arm in self.settings.projectors]

    def source(self, name: str) -> Path:
        return self.layout.source(self.settings.benchmarks[name].source)

    def _sources(self, images_per_task: int) -> None:
        with publish(self.layout.source("mini_mme"), settings={"id": "mini_mme"}) as directory:
            write_mini_mme(directory, seed=1, images_per_task=images_per_task, image_size=160)
        with publish(self.layout.source("easy_vqa"), settings={"id": "easy_vqa"}) as directory:
            _write_easy_vqa(directory, images=3 * images_per_task)
        if "details" in self.settings.benchmarks:
            with publish(self.layout.source("scenes"), settings={"id": "scenes"}) as directory:
                write_scenes(directory, seed=2, num_images=3 * images_per_task, image_size=64)

    def _models(self, arm: str, seed: int, num_steps: int) -> None:
        torch.manual_seed(seed)
        shape = ProjectorShape.between(self.settings.vision, 48)
        projector = build_projector(self.settings.projectors[arm], shape)
        weights = {f"projector.{name}": tensor for name, tensor in projector.state_dict().items()}
        for stage, inputs in (("pretrain", []), ("finetune", [self.layout.model(arm, seed, "pretrain")])):
            with publish(
                self.layout.model(arm, seed, stage),
                settings={"seed": seed, "train": TRAIN[stage]},
                inputs=inputs,
                code=CODE,
            ) as directory:
                save_file(weights, directory / "model.safetensors")
                lines = [json.dumps(row) + "\n" for row in _metrics(f"{arm}-{seed}-{stage}", num_steps)]
                (directory / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")

    def _predictions(self, arm: str, seed: int, name: str) -> None:
        benchmark, source, random = self.settings.benchmarks[name], self.source(name), Random(f"{arm}-{seed}")
        questions = load(benchmark.kind, "dataset").read_questions(source, benchmark)
        labels = sorted({question.label for question in questions})
        predictions = []
        for question in questions:
            right = random.random() < SKILL[arm] + (0.15 if name == "easy_vqa" else 0)
            answer = (question.label if right else random.choice(labels)).lower()
            predictions.append(
                Prediction(
                    **question.model_dump(),
                    prompt=question.question,
                    answer=answer,
                    parsed=load(benchmark.kind, "answers").parse(answer, question, benchmark.parser),
                    image_sha256="0" * 64,
                    label_losses=_losses(random) if benchmark.label_losses else {},
                )
            )
        output = self.layout.predictions(arm, seed, name)
        inputs = [self.layout.model(arm, seed, benchmark.asked_model), source]
        with publish(output, settings={"benchmark": benchmark}, inputs=inputs, code=CODE) as directory:
            write_predictions(directory / PREDICTIONS, predictions)
        samples = self.settings.report.bootstrap_samples
        score(ScoreSettings(benchmark=benchmark, bootstrap_samples=samples), output, self.layout.score(arm, seed, name))

    def _attention(self) -> None:
        source, vision, seed = self.source("mini_mme"), self.settings.vision, self.settings.seeds[0]
        ids = attention.open_images(source, "test").ids
        features = self.layout.features("mini_mme", "test")
        torch.manual_seed(0)
        with publish(features, settings={"split": "test"}, inputs=[source], code=CODE) as directory:
            shape = (len(ids), vision.num_patches, vision.feature_size)
            write_features(directory, ids, [5 * torch.randn(shape)])
        for arm, projector in self.settings.projectors.items():
            settings = attention.AttentionSettings(vision=vision, projector=projector, split="test", count=3)
            model = self.layout.model(arm, seed, "finetune")
            attention.run(settings, model, source, features, self.layout.attention(arm, seed))


def _write_easy_vqa(directory: Path, images: int) -> None:
    with ShardWriter(directory / "test") as writer:
        for index in range(images):
            color, shape = ("red", "blue", "teal")[index % 3], ("circle", "rectangle")[index % 2]
            image = Image.new("RGB", (64, 64), "#eee")
            draw = ImageDraw.Draw(image)
            (draw.ellipse if shape == "circle" else draw.rectangle)((15, 18, 45, 50), fill=color)
            data = io.BytesIO()
            image.save(data, "PNG")
            turns = [
                ["what color is the shape?", color],
                ["what shape does the image contain?", shape],
                ["is there a red shape?", "yes" if color == "red" else "no"],
            ]
            record = {"id": f"{index:06d}", "objects": [{"shape": shape, "color": color}], "word": None}
            writer.write(data.getvalue(), record | {"conversation": turns})


def _losses(random: Random) -> dict[str, tuple[float, int]]:
    """Of facts of a right caption: existence has no words of its own."""
    return {kind: (random.uniform(0.5, 4), 2) for kind in KINDS if kind != "existence"}


def _metrics(key: str, num_steps: int) -> list[dict]:
    random = Random(key)
    floor = random.uniform(0.05, 0.3)
    return [
        {"step": step, "samples": 8 * step, "loss": (2.5 * 0.985**step + floor) * random.lognormvariate(0, 0.2)}
        for step in range(1, num_steps + 1)
    ]
