"""The jobs of a config with what each costs: one row per stage and arm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pargo.benchmarks.answering.prompts import SHORT_ANSWER, find_preset, load_prompt
from pargo.config.base import canonical_json
from pargo.config.experiment import Config
from pargo.config.jobs import Jobs
from pargo.config.sources import LocalSource
from pargo.config.training import Pretrain, Train
from pargo.files import read_json
from pargo.graph.stage_settings import finetune, pretrain
from pargo.layout import Layout, seed_folder
from pargo.notes import read_notes
from pargo.plan.flops import LanguageCost, make_projector, tower_flops
from pargo.plan.sizes import language_sizes
from pargo.sources.needed import check_sources
from pargo.sources.overview import to_fetch

ASSUMED_TEXT = (40, 60)  # tokens asked and answered where a source does not say
BYTES_PER_ANSWER = 400  # of predictions.jsonl
GPUS = re.compile(r"; (\d+) x ")  # in `pargo.machine.hardware`


@dataclass(frozen=True)
class Assumptions:
    """What the plan reckons with where nothing is measured.

    Attributes:
        gpu: its name.
        peak: dense bf16 operations per second of it.
        utilisation: share of the peak in training and in the tower (MFU).
        decoding: the same while answers are generated, which mostly waits for memory.
    """

    gpu: str
    peak: float
    utilisation: float
    decoding: float


@dataclass(frozen=True)
class Row:
    """One stage of one arm (or of all): sums over its jobs.

    Attributes:
        jobs: that do not wait for each other: one for each seed, in evaluations also for each benchmark.
        gpu_seconds: of all jobs together; None where no GPU is asked for.
        wall_seconds: of the longest job; None where nothing says.
        download: bytes that are fetched and kept.
        storage: bytes of artifacts. `transient`: of checkpoints, freed when the stage is done.
        basis: `measured on ...`, `assumed`, `stated` (sizes), or why there is no number.
    """

    stage: str
    what: str
    jobs: int = 1
    work: str = ""
    flops: float = 0.0
    gpu_seconds: float | None = None
    wall_seconds: float | None = None
    download: float = 0.0
    storage: float = 0.0
    transient: float = 0.0
    basis: str = ""


def plan(config: Config, jobs: Jobs, assumptions: Assumptions) -> list[Row]:
    """All rows, in the order of the graph.

    Raises:
        InputError: nothing states the sizes of the language model, or it cannot be counted.
        ConfigError: a package that is not in the table.
    """
    check_sources(config, f"config/{config.name}.yaml")
    return list(_Planner(config, jobs, assumptions).rows())


class _Planner:
    def __init__(self, config: Config, jobs: Jobs, assumptions: Assumptions) -> None:
        self.config, self.jobs, self.assumptions = config, jobs, assumptions
        self.layout = Layout(config.name)
        self.language = LanguageCost(language_sizes(config)[0])
        self.tower = tower_flops(config.vision)

    def rows(self) -> Iterator[Row]:
        for name, found in to_fetch(self.config).items():
            if name in self.config.used_sources:  # others stand by, to be named in a mixture
                imported = 0.0 if self.config.sources[name].in_place else found.size
                yield Row("download", name, download=found.size, storage=imported, basis=found.basis)
        for name in sorted({name for arm in self.config.arms.values() for name in arm.pretrain.mixture}):
            dataset = self.config.datasets[name]
            drawn = (dataset.selection or self.config.selection).num_images
            count = drawn or self._num_images(dataset.source)
            yield Row("caption", name, work="" if count is None else f"{count:,} images", basis="not reckoned")
        yield from self._features()
        yield from self._warm_up()
        for arm in self.config.arms:
            for stage in ("pretrain", "finetune"):
                yield self._training(arm, stage)
            yield self._evaluation(arm)

    def _features(self) -> Iterator[Row]:
        """Rows of the features stage: of benchmarks' images, and of training images where an arm reads stored ones."""
        wanted = {(part.source, part.split) for part in self.config.benchmarks.values()}
        for arm in self.config.arms.values():
            for train in (arm.pretrain, arm.finetune):
                if train.features == "stored":
                    wanted |= {
                        (dataset.source, dataset.split) for dataset in (self.config.datasets[n] for n in train.mixture)
                    }
        per_image = self.config.vision.num_patches * self.config.vision.feature_size * 2  # float16
        for source, split in sorted(wanted):
            count = self._num_images(source)
            row = Row("features", f"{source} {split}", work="images: not known")
            if count is not None:
                row = self._timed(
                    replace(row, work=f"{count:,} images", storage=count * per_image), "features", count * self.tower
                )
            yield row

    def _warm_up(self) -> Iterator[Row]:
        """Row of the language model's warm-up, where it has one."""
        if (warm_up := self.config.language.warm_up) is None:
            return
        asked, answered = self._text(warm_up.mixture)
        weights = self.language.weights
        row = Row(
            "warm_up",
            "",
            work=f"{warm_up.num_samples:,} samples",
            storage=4.0 * (weights + self.language.head),
            transient=12.0 * weights,
        )
        flops = self.language.full_training(warm_up.num_image_tokens + asked + answered, answered)
        yield self._timed(row, "warm_up", flops * warm_up.num_samples)

    def _training(self, arm: str, stage: str) -> Row:
        experiment, seeds = self.config.arms[arm], len(self.config.seeds)
        train: Train = getattr(experiment, stage)
        adapter = train.lora  # type: ignore[attr-defined]
        projector = make_projector(experiment.projector, self.config.vision, self.language.shape.hidden_size)
        asked, answered = self._text(train.mixture)
        if stage == "pretrain":
            asked = 0  # captions alone
        flops = 3.0 * projector.flops()
        flops += self.language.training(
            projector.num_tokens + asked + answered, answered, adapter, checkpointing=train.activation_checkpointing
        )
        if train.features == "in_loop":
            flops += self.tower
        trained = projector.num_parameters + (self.language.adapter_weights(adapter) if adapter else 0)
        total = flops * train.num_samples
        if isinstance(train, Pretrain) and train.alignment:
            total += 3.0 * projector.flops() * train.alignment.num_samples
        row = Row(
            stage,
            arm,
            jobs=seeds,
            work=f"{train.num_samples:,} samples",
            storage=4.0 * trained * seeds,  # float32 weights
            transient=12.0 * trained * train.keep_checkpoints * seeds,  # with both moments of AdamW
        )
        measured = [found for seed in self.config.seeds if (found := self._measured(stage, arm, seed)) is not None]
        if not measured:
            return self._timed(row, stage, total)
        seconds, hardware = max(measured)
        cards = GPUS.search(hardware)
        gpus = int(cards[1]) if cards else 0
        return replace(
            row,
            flops=total * seeds,
            wall_seconds=seconds,
            gpu_seconds=seconds * gpus * seeds if gpus else None,
            basis=f"measured on {hardware}",
        )

    def _evaluation(self, arm: str) -> Row:
        experiment, seeds = self.config.arms[arm], len(self.config.seeds)
        projector = make_projector(experiment.projector, self.config.vision, self.language.shape.hidden_size)
        adapter = experiment.finetune.lora
        # decoding runs at its own rate: counted as the operations that would take as long
        slower = self.assumptions.utilisation / self.assumptions.decoding
        counts, flops, times, unknown = [], [], [], []
        for name, benchmark in self.config.benchmarks.items():
            size = benchmark.size or benchmark.size_of(self._num_images(benchmark.source))
            if size is None:
                unknown.append(name)
                continue
            count, images, asked, answered = size
            reading = float(images * projector.flops())
            reading += count * self.language.forward(projector.num_tokens + asked, 1, adapter)
            preset = find_preset(load_prompt(benchmark.kind).PRESETS, benchmark.prompt)
            beams = experiment.generation.num_beams or preset.num_beams
            if beams > 1:  # then nothing ends an answer early, and a short one may run on
                answered = experiment.generation.max_new_tokens or min(preset.max_new_tokens, SHORT_ANSWER)
            writing = count * answered * beams * self.language.forward(1, 1, adapter)
            counts.append(count)
            flops.append(reading + writing)
            times.append(reading + slower * writing)
        total = sum(counts)
        work = f"{total:,} questions" + (f"; not counted: {', '.join(unknown)}" if unknown else "")
        row = Row("evaluate", arm, len(counts) * seeds, work, storage=BYTES_PER_ANSWER * total * seeds)
        timed = self._timed(replace(row, jobs=seeds), "evaluate", sum(times))
        wall = timed.wall_seconds
        if wall is not None and total:
            wall *= max(times) / sum(times) / min(experiment.generation.num_shards, self.jobs.array_limit)
        return replace(timed, jobs=row.jobs, flops=sum(flops) * seeds, wall_seconds=wall)

    def _timed(self, row: Row, stage: str, flops: float) -> Row:
        """The row with the time that the operations of one of its jobs take."""
        gpus = self._gpus(stage)
        if not gpus:
            return replace(row, flops=flops * row.jobs)
        seconds = flops / self.assumptions.peak / self.assumptions.utilisation
        return replace(
            row,
            flops=flops * row.jobs,
            gpu_seconds=seconds * row.jobs,
            wall_seconds=seconds / gpus,
            basis="assumed",
        )

    def _gpus(self, stage: str) -> int:
        resources = self.jobs.of(stage)
        return resources.nodes * resources.gpus_per_node

    def _text(self, mixture: Mapping[str, float]) -> tuple[int, int]:
        """Mean tokens asked and answered of a mixture's samples."""
        sums, total = [0.0, 0.0], sum(mixture.values())
        for name, weight in mixture.items():
            source = self.config.sources[self.config.datasets[name].source]
            asked, answered = ASSUMED_TEXT
            if isinstance(source, LocalSource) and (estimate := source.estimate):
                asked, answered = estimate.asked_tokens or asked, estimate.answered_tokens or answered
            text = asked, answered
            sums = [old + weight / total * tokens for old, tokens in zip(sums, text, strict=True)]
        return round(sums[0]), round(sums[1])

    def _num_images(self, name: str) -> int | None:
        return self.config.sources[name].known_images

    def _measured(self, stage: str, arm: str, seed: int) -> tuple[float, str] | None:
        """Seconds of a training with these very settings that is there, and on what hardware it ran."""
        path = self.layout.model(arm, seed, stage) / "provenance.json"
        timing = self.layout.run_directory(stage, arm, seed_folder(seed)) / "timing.jsonl"
        if not path.exists() or not timing.exists():
            return None
        provenance, function = read_json(path), {"pretrain": pretrain, "finetune": finetune}[stage]
        if provenance["settings"] != json.loads(canonical_json(function(self.config, arm, seed))):
            return None
        # steps of a killed run that came after its last checkpoint were made again: the last time counts
        steps = {row["step"]: row["seconds"] for row in read_notes(timing)}
        num_steps = getattr(self.config.arms[arm], stage).num_steps
        if set(range(1, num_steps + 1)) - set(steps):
            return None
        return sum(steps[step] for step in range(1, num_steps + 1)), provenance["hardware"]
