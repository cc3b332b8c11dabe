"""A finished run of config/paper.yaml: its arms, seeds, benchmarks and tasks, with numbers that are invented."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from pargo.benchmarks.mme.tasks import TASKS
from pargo.benchmarks.questions import write_source
from pargo.benchmarks.records import PREDICTIONS, Prediction, Question, write_predictions
from pargo.benchmarks.scores.score import ScoreSettings
from pargo.benchmarks.scores.score import run as score
from pargo.config.base import canonical_json
from pargo.config.experiment import Config, load_config
from pargo.files import sha256_file, write_atomic
from pargo.graph.stage_settings import report
from pargo.layout import Layout, manifest_path, seed_folder
from pargo.manifest import publish, read_provenance
from pargo.report.settings import ReportSettings
from pargo.report.training import to_json
from pargo.report.training_file import STAGES, Cost, Curve, Run, Training

PAPER = Path(__file__).parents[2] / "config/paper.yaml"
CODE = [Path(__file__)]
IMAGES = 6  # of each task
ABILITIES = tuple(f"ability {number} of a long name" for number in range(1, 21))  # MMBench has 20
DIMENSIONS = tuple(f"Dimension {number}" for number in range(1, 10))  # SEED-Bench has 9 of images
CAPABILITIES = ("rec", "ocr", "know+rec", "spat+ocr", "math+ocr", "gen+rec")
SPLITS = ("random", "popular", "adversarial")
OPTIONS = {"A": "red", "B": "blue", "C": "green", "D": "teal"}


class PaperRun:
    """The run, in the current directory."""

    def __init__(self) -> None:
        self.config: Config = load_config(PAPER)
        settings = json.loads(canonical_json(report(self.config)))
        settings["report"]["bootstrap_samples"] = 100
        self.settings = ReportSettings.model_validate_json(json.dumps(settings))
        self.layout = Layout(self.config.name)
        self.runs = [(arm, seed) for arm in self.config.arms for seed in self.config.seeds]

    @property
    def scores(self) -> list[Path]:
        return [self.layout.score(arm, seed, name) for arm, seed in self.runs for name in self.config.benchmarks]

    @property
    def predictions(self) -> list[Path]:
        return [self.layout.predictions(arm, seed, name) for arm, seed in self.runs for name in self.config.benchmarks]

    def make(self) -> None:
        """Sources, models, answers, scores and `training.json`."""
        questions = {}
        for name, benchmark in self.config.benchmarks.items():
            questions[name] = list(_questions(benchmark.kind))
            source = self.layout.source(benchmark.source)
            if not source.exists():
                images = dict.fromkeys(question.image for question in questions[name])
                with publish(source, settings={"id": benchmark.source}) as directory:
                    write_source(directory / "test", questions[name], ((image, _picture(image)) for image in images))
        for arm, seed in self.runs:
            for stage in STAGES:
                self._model(arm, seed, stage)
            for name in self.config.benchmarks:
                self._answer(arm, seed, name, questions[name])
        write_atomic(self.layout.training, to_json(self._training()))

    def _model(self, arm: str, seed: int, stage: str) -> None:
        earlier = [] if stage == "pretrain" else [self.layout.model(arm, seed, "pretrain")]
        train = getattr(self.config.arms[arm], stage)
        output = self.layout.model(arm, seed, stage)
        with publish(output, settings={"seed": seed, "train": train}, inputs=earlier, code=CODE) as directory:
            save_file({"x": np.array([len(arm), seed], np.float32)}, directory / "model.safetensors")

    def _answer(self, arm: str, seed: int, name: str, questions: list[Question]) -> None:
        benchmark, random = self.config.benchmarks[name], Random(f"{arm}-{seed}-{name}")
        skill = 0.55 + 0.3 * Random(arm).random()
        predictions = []
        for question in questions:
            choices = list(question.options) or ["yes", "no"]
            answer = question.label if random.random() < skill else random.choice(choices)
            predictions.append(
                Prediction(
                    **question.model_dump(),
                    prompt=question.question,
                    answer=answer.lower() if not question.options else answer,
                    parsed=answer,
                    image_sha256="0" * 64,
                )
            )
        output = self.layout.predictions(arm, seed, name)
        inputs = [self.layout.model(arm, seed, "finetune"), self.layout.source(benchmark.source)]
        with publish(output, settings={"benchmark": benchmark}, inputs=inputs, code=CODE) as directory:
            write_predictions(directory / PREDICTIONS, predictions)
        settings = ScoreSettings(benchmark=benchmark.ungraded, bootstrap_samples=50)
        score(settings, output, self.layout.score(arm, seed, name))

    def _training(self) -> Training:
        costs, runs = {}, {}
        for arm, experiment in self.config.arms.items():
            random = Random(arm)
            tokens = experiment.projector.num_image_tokens(self.config.vision.num_patches)
            costs[arm] = Cost(
                tokens=tokens, parameters=random.randrange(10**7, 2 * 10**8), flops=random.randrange(10**10, 10**11)
            )
            for seed in self.config.seeds:
                runs.setdefault(arm, {})[seed_folder(seed)] = {stage: self._run(arm, seed, stage) for stage in STAGES}
        trained = {
            arm: {
                stage: read_provenance(self.layout.model(arm, self.config.seeds[0], stage))["settings"]["train"]
                for stage in STAGES
            }
            for arm in self.config.arms
        }
        return Training(costs=costs, settings=trained, runs=runs)

    def _run(self, arm: str, seed: int, stage: str) -> Run:
        random, steps = Random(f"{arm}-{seed}-{stage}"), range(1, 301)
        loss = tuple(round(2.5 * 0.98**step + random.uniform(0.4, 0.6), 4) for step in steps)
        manifest = manifest_path(self.layout.model(arm, seed, stage))
        return Run(
            model=manifest.as_posix(),
            sha256=sha256_file(manifest),
            hardware="8 x invented",
            started="2026-01-01T00:00:00+00:00",
            seconds=random.uniform(3e4, 9e4),
            samples_per_second=random.uniform(20, 40),
            commit="0" * 40,
            curve=Curve(samples=tuple(256 * step for step in steps), loss=loss),
        )


def _picture(name: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (len(name) * 37 % 256, sum(map(ord, name)) % 256, 120)).save(stream, "PNG")
    return stream.getvalue()


def _questions(kind: str) -> Iterator[Question]:
    match kind:
        case "mme":
            for task in TASKS:
                for image in range(IMAGES):
                    for label in ("Yes", "No"):
                        text = f"Is it {label.lower()} {image}? Please answer yes or no."
                        yield Question(
                            id=f"{task}/{image}-{label}",
                            task=task,
                            image=f"{task}/{image}.png",
                            question=text,
                            label=label,
                        )
        case "pope":
            for split in SPLITS:
                for number in range(4 * IMAGES):
                    label = ("yes", "no")[number % 2]
                    details = {"question_id": str(number + 1)}
                    yield Question(
                        id=f"{split}/{number}",
                        task=split,
                        image=f"{number // 2}.png",
                        question="Is there a dog?",
                        label=label,
                        details=details,
                    )
        case "mmvet":
            for number in range(4 * IMAGES):
                task = CAPABILITIES[number % len(CAPABILITIES)]
                details = {"capability": task.replace("+", ",")}
                yield Question(
                    id=f"v1_{number}",
                    task=task,
                    image=f"{number}.png",
                    question="What is it?",
                    label="yes",
                    details=details,
                )
        case _:
            tasks = ABILITIES if kind == "mmbench" else DIMENSIONS
            for place, task in enumerate(tasks):
                for image in range(IMAGES):
                    number = place * IMAGES + image
                    details = (
                        {"question_type_id": place + 1, "data_id": f"{number}.png"}
                        if kind == "seedbench"
                        else {"category": task}
                    )
                    yield Question(
                        id=str(number),
                        task=task,
                        image=f"{number}.png",
                        question="Which colour is it?",
                        label="ABCD"[number % 4],
                        options=OPTIONS,
                        details={key: str(value) for key, value in details.items()},
                    )
