"""A whole reproduction: the config file, its arms, and the checks between its parts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pargo.config.base import Name, Settings
from pargo.config.benchmarks import BENCHMARKS, BenchmarkSettings
from pargo.config.dataset import Dataset, DatasetCaptions
from pargo.config.generation import Generation
from pargo.config.layers import check_order
from pargo.config.models import Language, Vision
from pargo.config.projectors import IMPLEMENTATIONS, PROJECTORS, ProjectorSettings
from pargo.config.quality import Quality
from pargo.config.report import MACROS, TABLES, Report
from pargo.config.schema import field_names
from pargo.config.selection import Selection
from pargo.config.sources import SOURCES, SourceSettings
from pargo.config.sources.official import OfficialSource
from pargo.config.training import Finetune, Pretrain
from pargo.config.words import explain, place
from pargo.config.yaml_file import kind_of, read_yaml, written
from pargo.errors import ConfigError, InputError

if TYPE_CHECKING:
    AnyBenchmark = BenchmarkSettings
    AnyProjector = ProjectorSettings
    AnySource = SourceSettings
else:
    AnyBenchmark = BENCHMARKS.union
    AnyProjector = Annotated[PROJECTORS.union, AfterValidator(IMPLEMENTATIONS.checked)]
    AnySource = SOURCES.union


class Experiment(Settings):
    """One arm: what is trained, how, and how it answers."""

    projector: AnyProjector
    pretrain: Pretrain
    finetune: Finetune
    generation: Generation = Generation()


class Config(Settings):
    """A whole reproduction: one file in config/."""

    name: Name
    strict: bool = Field(
        False,
        description="make anew also what would differ by rounding alone, and what other versions of packages computed",
    )
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    sources: dict[Name, AnySource]
    vision: Vision
    language: Language
    projectors: dict[Name, AnyProjector] = Field({}, description="an arm may name one of these as its projector")
    datasets: dict[Name, Dataset]
    selection: Selection = Selection()
    captions: DatasetCaptions = DatasetCaptions()
    quality: Quality = Quality()
    benchmarks: Annotated[dict[Name, AnyBenchmark], Field(min_length=1)]
    arms: dict[Name, Experiment] = Field(min_length=1, description="in the file: named differences from `base`")
    report: Report

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        self._references()
        check_order(self.language)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {list(self.seeds)} holds a seed twice")
        for name, projector in self.projectors.items():
            self._check_projector(f"projectors.{name}", projector)
        for name, arm in self.arms.items():
            self._check_projector(f"arms.{name}.projector", arm.projector)
            taken = arm.projector.num_image_tokens(self.vision.num_patches)
            for stage, train in (("pretrain", arm.pretrain), ("finetune", arm.finetune)):
                if train.max_length is not None and train.max_length <= taken:
                    raise ValueError(
                        f"arms.{name}.{stage}.max_length: {train.max_length} tokens hold no answer, as an image takes "
                        f"{taken} of them"
                    )
            early, late = arm.pretrain.lora, arm.finetune.lora
            if early and early.adapter != late.adapter:
                raise ValueError(
                    f"arms.{name}.pretrain.lora: differs from finetune.lora in more than the learning rate: "
                    "fine-tuning continues the same adapters"
                )
        for name, dataset in self.datasets.items():
            self._check_split(f"datasets.{name}", dataset)
        for name, benchmark in self.benchmarks.items():
            self._check_benchmark(name, benchmark)
        self._check_whitening()
        self._check_warm_up()
        return self

    @property
    def used_sources(self) -> set[str]:
        """What some job reads: not a source that merely stands by."""
        stages = [train for arm in self.arms.values() for train in (arm.pretrain, arm.finetune)]
        texts = self.language.warm_up.mixture if self.language.warm_up else ()
        datasets = {name for train in stages for name in train.mixture} | {*texts}
        images = [
            *(self.datasets[name].source for name in datasets),
            *(part.source for part in self.benchmarks.values()),
        ]
        return {self.vision.source, self.language.source, *images}

    def _check_projector(self, where: str, projector: AnyProjector) -> None:
        try:
            projector.check_patches(self.vision.num_patches)
        except InputError as error:
            raise ValueError(f"{where}.{error}") from None

    def _check_split(self, where: str, images: Dataset | AnyBenchmark) -> None:
        source = self.sources[images.source]
        if source.splits and images.split not in source.splits:
            raise ValueError(
                f"{where}.split: {images.split!r} is not there, as {images.source!r} is of kind {source.kind}; "
                f"choices: {', '.join(source.splits)}"
            )

    def _check_benchmark(self, name: str, benchmark: AnyBenchmark) -> None:
        """Its source has what it asks about and no image of others; its table has a name of its own."""
        where, source = f"benchmarks.{name}", self.sources[benchmark.source]
        if benchmark.of_annotations and not source.annotated:
            raise ValueError(
                f"{where}.source: {benchmark.source!r} is of kind {source.kind}, whose images have no annotations; "
                f"{benchmark.kind} takes sources of kind {_annotated_kinds()}"
            )
        if isinstance(source, OfficialSource) and source.benchmark != benchmark.kind:
            raise ValueError(f"{where}.source: {benchmark.source!r} holds {source.benchmark}, not {benchmark.kind}")
        self._check_split(where, benchmark)
        if name in (*TABLES, MACROS):
            raise ValueError(f"{where}: the report has another table of this name; give the benchmark another one")
        for dataset, chosen in self.datasets.items():
            if (chosen.source, chosen.split) == (benchmark.source, benchmark.split):
                raise ValueError(
                    f"{where}.split: dataset {dataset!r} is split {chosen.split!r} of {chosen.source!r} too: the "
                    "benchmark would hold training images"
                )
        owners = [(chosen.source, f"dataset {name!r}", "hold training") for name, chosen in self.datasets.items()]
        owners += [  # of one source there may be several splits and parsers
            (rival.source, f"benchmark {other!r}", "share its")
            for other, rival in self.benchmarks.items()
            if rival.source != benchmark.source
        ]
        for other, owner, what in owners:
            if source.draws is not None and source.draws == self.sources[other].draws:
                raise ValueError(
                    f"{where}.source: {benchmark.source!r} draws {source.draws}, as does {other!r} of {owner}: the "
                    f"benchmark would {what} images; give it another seed"
                )

    def _check_whitening(self) -> None:
        for name, arm in self.arms.items():
            if self.vision.whiten and arm.pretrain.features != "stored":
                raise ValueError(
                    f"vision.whiten: reads stored features, and arms.{name}.pretrain.features is "
                    f"{arm.pretrain.features!r}"
                )

    def _check_warm_up(self) -> None:
        """The datasets whose texts it reads are there, and annotated."""
        for name in self.language.warm_up.mixture if self.language.warm_up else ():
            where = "language.warm_up.mixture"
            _known(where, name, self.datasets)
            source = self.datasets[name].source
            if not self.sources[source].annotated:
                raise ValueError(
                    f"{where}: {name!r} reads {source!r} of kind {self.sources[source].kind}, whose images have no "
                    f"annotations; the words of these stand for images; sources of kind {_annotated_kinds()} have them"
                )

    def _references(self) -> None:
        _known("vision.source", self.vision.source, self.sources)
        _known("language.source", self.language.source, self.sources)
        for name, dataset in self.datasets.items():
            _known(f"datasets.{name}.source", dataset.source, self.sources)
        for name, benchmark in self.benchmarks.items():
            _known(f"benchmarks.{name}.source", benchmark.source, self.sources)
        for name, arm in self.arms.items():
            for stage in ("pretrain", "finetune"):
                for dataset in getattr(arm, stage).mixture:
                    _known(f"arms.{name}.{stage}.mixture", dataset, self.datasets)
        _known("report.headline_arm", self.report.headline_arm, self.arms)
        _known("report.reference_arm", self.report.reference_arm, self.arms)
        for i, number in enumerate(self.report.published):
            _known(f"report.published.{i}.arm", number.arm, self.arms)
            _known(f"report.published.{i}.benchmark", number.benchmark, self.benchmarks)
            if number.minus is not None:
                _known(f"report.published.{i}.minus", number.minus, self.arms)
                if number.arm != self.report.headline_arm or number.minus == number.arm:
                    raise ValueError(
                        f"report.published.{i}: a difference is of the headline arm {self.report.headline_arm!r} and "
                        f"another one, not of {number.arm!r} and {number.minus!r}"
                    )
            same = [(of.arm, of.minus, of.benchmark) for of in self.report.published[:i]]
            if (number.arm, number.minus, number.benchmark) in same:
                raise ValueError(f"report.published.{i}: a second number of the same; give the one that is to be shown")
        if self.report.reference_arm == self.report.headline_arm:
            others = ", ".join(sorted(self.arms.keys() - {self.report.headline_arm})) or "none, add one to arms"
            raise ValueError(
                f"report.reference_arm: {self.report.reference_arm!r} is the headline arm too, and the report compares "
                f"the two; other arms: {others}"
            )


def _annotated_kinds() -> str:
    return " or ".join(kind for kind in SOURCES.names if SOURCES.settings(kind).annotated)


def _known(where: str, name: str, choices: dict[str, Any]) -> None:
    if name not in choices:
        raise ValueError(f"{where}: {name!r} is not defined; choices: {', '.join(sorted(choices))}")


# Loading --------------------------------------------------------------------------------------------------------------


def load_config(path: Path | str) -> Config:
    """Read and validate a config file.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds a value that cannot be run; the message names the
            file, the field, the value and the choices.
    """
    return parse_config(read_yaml(Path(path)), where=str(path))


def parse_config(data: Any, where: str = "config") -> Config:
    """Validate a config mapping in the file's form (`base` + `arms` as differences)."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected a mapping of settings, got {kind_of(data)}")
    data = _tuples(data)
    base, arms = data.pop("base", None), data.get("arms")
    for field, value in (("base", base), ("arms", arms)):
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: {field}: required, expected a mapping, got {kind_of(value)}")
    for name, difference in arms.items():
        if not isinstance(difference, dict | None):
            raise ConfigError(
                f"{where}: arms.{name}: expected differences from base as a mapping, got {written(difference)}"
            )
    table = data.get("projectors") or {}
    start = _look_up(base, table, f"{where}: base")
    data["arms"] = {
        name: _differ(start, difference or {}, table, f"{where}: arms.{name}") for name, difference in arms.items()
    }
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        # what stands in base or in the table of projectors is wrong in every arm, but is said once
        problems = dict.fromkeys(_explain(item, data, {"base": base} | arms) for item in error.errors())
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def _look_up(experiment: dict, table: Any, where: str) -> dict:
    """The experiment with the settings of its projector in place of its name in the table `projectors`."""
    name = experiment.get("projector")
    if not isinstance(name, str):
        return experiment
    if not isinstance(table, dict) or name not in table:
        choices = ", ".join(sorted(table)) if isinstance(table, dict) and table else "none, there is no projectors:"
        raise ConfigError(f"{where}.projector: {name!r} is not defined; choices: {choices}")
    return experiment | {"projector": table[name]}


def _differ(base: dict, difference: dict, table: Any, where: str) -> dict:
    """Base with an arm's difference; a projector that the arm names by a word has nothing of the base's."""
    if isinstance(difference.get("projector"), str):
        base = {key: value for key, value in base.items() if key != "projector"}
    return merge(base, _look_up(difference, table, where))


def merge(base: dict[str, Any], difference: dict[str, Any]) -> dict[str, Any]:
    """Base with a difference applied, recursively; a mapping whose `name` changes is replaced as a whole."""
    merged = dict(base)
    for key, value in difference.items():
        old: Any = merged.get(key)
        same_kind = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name")
        )
        # a mixture lists all its members: weights of the base must not linger
        merged[key] = merge(old, value) if same_kind and key != "mixture" else value
    return merged


def _tuples(value: Any) -> Any:
    """YAML lists as tuples, so that frozen objects hold no mutable values."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(item: Any, data: dict, arms: dict) -> str:
    """One validation error as one sentence that names the field, the value and what would be right."""
    known = field_names(_schema(), item["loc"][:-1]) if item["type"] == "extra_forbidden" else ()
    return explain(".".join(_written_at(place(item, data), arms)), item, known, in_yaml=True)


def _written_at(location: list[str], arms: dict) -> list[str]:
    """`arms.x.a.b` as `base.a.b` where the arm itself does not write it, or as `projectors.y.b` where it names y."""
    if location[:1] != ["arms"] or len(location) < 3:
        return location
    node: Any = arms.get(location[1])
    if location[2] == "projector":
        own = node.get("projector") if isinstance(node, dict) else None
        named = own if own is not None else arms["base"].get("projector")
        if isinstance(named, str):
            return ["projectors", named, *location[3:]]
    for depth, part in enumerate(location[2:]):
        if not isinstance(node, dict) or part not in node:
            # a mapping that the arm replaced as a whole is the arm's, whatever it lacks
            replaced = depth > 0 and isinstance(node, dict) and "name" in node
            return location if replaced else ["base", *location[2:]]
        node = node[part]
    return location


@cache
def _schema() -> dict:
    return Config.model_json_schema()
