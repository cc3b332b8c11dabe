"""What each job of a config reads: paths by the names of `pargo/stages.py`, and what else decides its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pargo.accepted import accepted_file
from pargo.config.dataset import Dataset
from pargo.config.experiment import Config
from pargo.layout import Layout
from pargo.manifest import PROVENANCE
from pargo.report.settings import in_reading_order
from pargo.stages import Value


@dataclass(frozen=True)
class Inputs:
    """Inputs of the jobs of a config: a method for each stage, which takes what tells its jobs apart."""

    config: Config
    layout: Layout

    def download(self, source: str) -> Mapping[str, Value]:
        return {}

    def fingerprint(self, source: str, split: str) -> Mapping[str, Value]:
        return {"source": self.layout.source(source)}

    def select(self, dataset: str) -> Mapping[str, Value]:
        chosen = self.config.datasets[dataset]
        own = self.layout.fingerprints(chosen.source, chosen.split)
        return {"fingerprints": own, "benchmarks": self._benchmark_fingerprints()}

    def caption(self, dataset: str) -> Mapping[str, Value]:
        return {"source": self._dataset_source(dataset), "selection": self.layout.selection(dataset)}

    def filter(self, dataset: str) -> Mapping[str, Value]:
        return {"source": self._dataset_source(dataset), "captions": self.layout.raw_captions(dataset)}

    def features(self, source: str, split: str) -> Mapping[str, Value]:
        return {"source": self.layout.source(source), "vision": self._vision}

    def warm_up(self) -> Mapping[str, Value]:
        return {
            "language": self.layout.source(self.config.language.source),
            "sources": {name: self._dataset_source(name) for name in self.warm_up_datasets()},
        }

    def pretrain(self, arm: str, seed: str) -> Mapping[str, Value]:
        mixture = self.mixture("pretrain", arm)
        stored = self._stores_features("pretrain", arm)
        return {
            "language": self._language,
            "captions": {name: self.layout.captions(name) for name in mixture},
            "features": self._feature_directories("pretrain", arm),
            "images": {} if stored else {name: self.layout.source(chosen.source) for name, chosen in mixture.items()},
            "vision": None if stored else self._vision,
        }

    def finetune(self, arm: str, seed: str) -> Mapping[str, Value]:
        mixture = self.mixture("finetune", arm)
        return {
            "language": self._language,
            "pretrained": self.layout.model(arm, seed, "pretrain"),
            "sources": {name: self.layout.source(chosen.source) for name, chosen in mixture.items()},
            "features": self._feature_directories("finetune", arm),
            "vision": None if self._stores_features("finetune", arm) else self._vision,
        }

    def evaluate(self, arm: str, seed: str, benchmark: str) -> Mapping[str, Value]:
        return {
            "language": self._language,
            "model": self.layout.model(arm, seed, self.config.benchmarks[benchmark].asked_model),
            "source": self._benchmark_source(benchmark),
            "features": self._benchmark_features(benchmark),
        }

    def grade(self, arm: str, seed: str, benchmark: str) -> Mapping[str, Value]:
        return {"predictions": self.layout.predictions(arm, seed, benchmark)}

    def score(self, arm: str, seed: str, benchmark: str) -> Mapping[str, Value]:
        graded = self.config.benchmarks[benchmark].grader
        return {
            "predictions": self.layout.predictions(arm, seed, benchmark),
            "grades": self.layout.grades(arm, seed, benchmark) if graded else None,
        }

    def attention(self, arm: str, seed: str) -> Mapping[str, Value]:
        shown = in_reading_order(self.config.benchmarks)[0]  # whose images the figure shows
        return {
            "model": self.layout.model(arm, seed, "finetune"),
            "source": self._benchmark_source(shown),
            "features": self._benchmark_features(shown),
        }

    def report_training(self) -> Mapping[str, Value]:
        return {"models": self._models}

    def report_answers(self) -> Mapping[str, Value]:
        return {"scores": self._scores, "predictions": [self.layout.predictions(*of) for of in self.evaluations()]}

    def report_tables(self) -> Mapping[str, Value]:
        return {"scores": self._scores, "training": self.layout.training}

    def report_figures(self) -> Mapping[str, Value]:
        return {"scores": self._scores, "training": self.layout.training, "attention": self._attention}

    def report_page(self) -> Mapping[str, Value]:
        return {
            "scores": self._scores,
            "training": self.layout.training,
            "answers": self.layout.answers,
            "tables": self.layout.tables,
            "figures": self.layout.figures,
            "attention": self._attention,
        }

    def report_captions(self, dataset: str) -> Mapping[str, Value]:
        return {
            "captions": self.layout.captions(dataset),
            "selection": self.layout.selection(dataset),
            "source": self._dataset_source(dataset),
        }

    def found(self, stage: str) -> Sequence[Path]:
        """What a stage finds by itself: records of what made artifacts, images of questions, accepted changes."""
        if stage == "report_tables":
            # an artifact may be made otherwise, and come out the same: the tables tell how each was made
            return [artifact / PROVENANCE for artifact in self._behind_scores]
        if stage == "report_page":
            sources = sorted({self._benchmark_source(benchmark) for benchmark in self.config.benchmarks})
            return [*sources, accepted_file(self.layout.page)]
        return []

    # What the config asks for ------------------------------------------------------------------------------------

    def runs(self) -> list[tuple[str, int]]:
        """All (arm, seed) pairs."""
        return [(arm, seed) for arm in self.config.arms for seed in self.config.seeds]

    def evaluations(self) -> list[tuple[str, int, str]]:
        """Arm, seed and benchmark of all scores."""
        return [(*run, benchmark) for run in self.runs() for benchmark in self.config.benchmarks]

    def mixture(self, stage: str, arm: str) -> dict[str, Dataset]:
        """The datasets of an arm's training stage, by name."""
        names = sorted(getattr(self.config.arms[arm], stage).mixture)
        return {name: self.config.datasets[name] for name in names}

    def caption_datasets(self) -> list[str]:
        """Datasets that some arm is pretrained on."""
        return sorted({name for arm in self.config.arms for name in self.mixture("pretrain", arm)})

    def warm_up_datasets(self) -> list[str]:
        """Datasets whose texts the language model is warmed up on."""
        warm_up = self.config.language.warm_up
        return [] if warm_up is None else sorted(warm_up.mixture)

    def images(self) -> list[tuple[str, str]]:
        """Source and split of all images that some job reads by stored features."""
        trainings = [(stage, arm) for stage in ("pretrain", "finetune") for arm in self.config.arms]
        stored = [training for training in trainings if self._stores_features(*training)]
        datasets = [dataset for training in stored for dataset in self.mixture(*training).values()]
        benchmarks = self.config.benchmarks.values()
        return sorted({*((part.source, part.split) for part in datasets), *((p.source, p.split) for p in benchmarks)})

    def compared_images(self) -> list[tuple[str, str]]:
        """Source and split of all images that are compared, so that none is captioned twice or is a benchmark's."""
        datasets = [self.config.datasets[name] for name in self.caption_datasets()]
        benchmarks = self.config.benchmarks.values() if datasets else ()
        return sorted({*((part.source, part.split) for part in datasets), *((p.source, p.split) for p in benchmarks)})

    def attention_models(self) -> list[tuple[str, int]]:
        """The models whose attention is measured: of every arm that of its first seed, the headline arm's first."""
        arms = dict.fromkeys([self.config.report.headline_arm, *self.config.arms])
        return [(arm, self.config.seeds[0]) for arm in arms]

    def needed_sources(self) -> list[str]:
        """Sources that some job reads."""
        trainings = [(stage, arm) for stage in ("pretrain", "finetune") for arm in self.config.arms]
        datasets = [dataset for training in trainings for dataset in self.mixture(*training).values()]
        benchmarks = {part.source for part in self.config.benchmarks.values()}
        models = {self.config.vision.source, self.config.language.source}
        texts = {self.config.datasets[name].source for name in self.warm_up_datasets()}
        return sorted({*models, *benchmarks, *texts, *(part.source for part in datasets)})

    def _feature_directories(self, stage: str, arm: str) -> dict[str, Path]:
        """Stored features of a training's images; none when they are computed in its loop."""
        if not self._stores_features(stage, arm):
            return {}
        return {name: self.layout.features(part.source, part.split) for name, part in self.mixture(stage, arm).items()}

    def _stores_features(self, stage: str, arm: str) -> bool:
        return getattr(self.config.arms[arm], stage).features == "stored"

    def _benchmark_fingerprints(self) -> dict[str, Path]:
        images = sorted({(part.source, part.split) for part in self.config.benchmarks.values()})
        return {f"{source}-{split}": self.layout.fingerprints(source, split) for source, split in images}

    def _dataset_source(self, dataset: str) -> Path:
        return self.layout.source(self.config.datasets[dataset].source)

    def _benchmark_source(self, benchmark: str) -> Path:
        return self.layout.source(self.config.benchmarks[benchmark].source)

    def _benchmark_features(self, benchmark: str) -> Path:
        chosen = self.config.benchmarks[benchmark]
        return self.layout.features(chosen.source, chosen.split)

    @property
    def _vision(self) -> Path:
        return self.layout.source(self.config.vision.source)

    @property
    def _language(self) -> Path:
        language = self.config.language
        return self.layout.language(language.source, language.warm_up is not None)

    @property
    def _attention(self) -> list[Path]:
        return [self.layout.attention(*shown) for shown in self.attention_models()]

    @property
    def _scores(self) -> list[Path]:
        return [self.layout.score(*of) for of in self.evaluations()]

    @property
    def _behind_scores(self) -> list[Path]:
        datasets = self.caption_datasets()
        graded = [of for of in self.evaluations() if self.config.benchmarks[of[2]].grader]
        return [
            *map(self.layout.source, self.needed_sources()),
            *(self.layout.fingerprints(*images) for images in self.compared_images()),
            *map(self.layout.selection, datasets),
            *map(self.layout.raw_captions, datasets),
            *map(self.layout.captions, datasets),
            *(self.layout.features(*images) for images in self.images()),
            *([self._language] if self.config.language.warm_up else []),
            *self._models,
            *(self.layout.predictions(*of) for of in self.evaluations()),
            *(self.layout.grades(*of) for of in graded),
        ]

    @property
    def _models(self) -> list[Path]:
        return [self.layout.model(*run, stage) for run in self.runs() for stage in ("pretrain", "finetune")]
