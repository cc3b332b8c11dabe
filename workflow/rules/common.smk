"""What the rules share: the validated config, the layout of files, and all helper functions."""

import inspect
import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pargo.benchmarks import answer_modules, score_modules
from pargo.captions.engines import caption_modules
from pargo.code import import_closure
from pargo.config import stages
from pargo.config.base import canonical_json
from pargo.config.benchmarks import BENCHMARKS
from pargo.config.experiment import parse_config
from pargo.config.sources import files as source_files
from pargo.data.download import listing
from pargo.data.download import source_modules
from pargo.data.versions import not_fetched
from pargo.errors import ConfigError
from pargo.files import sha256_text
from pargo.layout import Layout, manifest_path
from pargo.report.settings import CAPTION_REPORT, FIGURES, TABLES

# jobs use the Python that runs Snakemake, also when its virtual environment is not activated
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

try:
    experiment = parse_config(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None
layout = Layout(experiment.name)

# how heavy stages run; another profile sets it with `set-resources`
EXECUTOR = "local"


wildcard_constraints:
    source="[a-z][a-z0-9_]*",
    dataset="[a-z][a-z0-9_]*",
    arm="[a-z][a-z0-9_]*",
    benchmark="[a-z][a-z0-9_]*",
    split="train|test",
    seed=r"\d+",


def manifest(directory):
    """The manifest of an artifact directory: what consumers of the directory depend on."""
    return str(manifest_path(directory))


def contents(directory):
    """The directory itself as input: it must exist, but its time is of no interest, its manifest decides."""
    return ancient(str(directory))


@cache
def code(*modules):
    """Source files of a stage: a change of them reruns it, a change of other files does not."""
    return [str(path) for path in import_closure(*modules)]


def local_files(source):
    """Which files that somebody put there are or were imported: a change imports them again, their absence does not."""
    chosen = experiment.sources[source]
    own = not_fetched(source_files(chosen), stages.source_downloads(chosen).values())
    return listing(own, Path(run_directory("download", source)))


def settings(function):
    """Parameter function of a rule: canonical JSON of what its stage reads of the config, by the rule's wildcards."""
    names = list(inspect.signature(function).parameters)[1:]

    def text(wildcards):
        chosen = {name: int(wildcards[name]) if name == "seed" else wildcards[name] for name in names}
        return canonical_json(function(experiment, **chosen))

    return text


def named(option, directories):
    """Directories by name as repeated options: `--features scenes=DIR --features easy_vqa=DIR`."""
    return " ".join(f"{option} {name}={directory}" for name, directory in directories.items())


def repeated(option, paths):
    """Paths as one repeated option."""
    return " ".join(f"{option} {path}" for path in paths)


def log_file(name):
    return str(layout.runs / "logs" / f"{name}.log")


def run_directory(stage, *parts):
    """Where a job keeps checkpoints and its job record: no output, so Snakemake never deletes it."""
    return (layout.runs / stage).joinpath(*parts).as_posix()


def num_threads(stage):
    """Threads function of a training rule."""
    return lambda wildcards: getattr(experiment.arms[wildcards.arm], stage).num_threads


# What an arm reads -----------------------------------------------------------------------------------------------------


def mixture(stage, arm):
    """The datasets of an arm's training stage, by name."""
    return {name: experiment.datasets[name] for name in sorted(getattr(experiment.arms[arm], stage).mixture)}


def caption_datasets():
    """Datasets that some arm is pretrained on."""
    return sorted({name for arm in experiment.arms for name in mixture("pretrain", arm)})


def dataset_source(dataset):
    return layout.source(experiment.datasets[dataset].source)


def benchmark_fingerprints():
    """Fingerprints of the images of all benchmarks, by source and split."""
    images = sorted({(part.source, part.split) for part in experiment.benchmarks.values()})
    return {f"{source}-{split}": layout.fingerprints(source, split) for source, split in images}


def fingerprints(dataset):
    """A dataset's own, then those of the benchmarks."""
    chosen = experiment.datasets[dataset]
    return [layout.fingerprints(chosen.source, chosen.split), *benchmark_fingerprints().values()]


def caption_code(wildcards):
    """Source files of a captioning: those of its own engine alone."""
    chosen = experiment.datasets[wildcards.dataset].captions or experiment.captions
    return code(*caption_modules(chosen.engine_kind))


def captioned_from(dataset):
    return [dataset_source(dataset), layout.selection(dataset)]


def filtered_from(dataset):
    return [dataset_source(dataset), layout.raw_captions(dataset)]


def caption_directories(arm):
    return {name: layout.captions(name) for name in mixture("pretrain", arm)}


def source_directories(arm):
    return {name: layout.source(dataset.source) for name, dataset in mixture("finetune", arm).items()}


def stores_features(stage, arm):
    """Does this training read stored features, or does it run the tower itself?"""
    return getattr(experiment.arms[arm], stage).features == "stored"


def feature_directories(stage, arm):
    """Stored features of a training's images; none when they are computed in its loop."""
    if not stores_features(stage, arm):
        return {}
    return {name: layout.features(dataset.source, dataset.split) for name, dataset in mixture(stage, arm).items()}


def image_directories(stage, arm):
    """Sources of a training's images, when features are computed in its loop."""
    return {} if stores_features(stage, arm) else {n: layout.source(d.source) for n, d in mixture(stage, arm).items()}


def tower_directories(stage, arm):
    """The vision tower's weights, likewise."""
    return [] if stores_features(stage, arm) else [layout.source(experiment.vision.source)]


def download_code(wildcards):
    """Source files of a download: those of its own kind of source alone."""
    chosen = stages.download(experiment, wildcards.source)
    return code(*source_modules(chosen["source"], chosen["pin"]))


def report_code(module):
    """Source files of a stage of the report: of benchmarks the settings of those that it shows, with their titles."""
    kinds = sorted({benchmark.kind for benchmark in experiment.benchmarks.values()})
    return code(module, *(BENCHMARKS.module(kind) for kind in kinds))


def answer_code(wildcards):
    """Source files of an evaluation: those of its own benchmark alone."""
    return code(*answer_modules(experiment.benchmarks[wildcards.benchmark].kind))


def score_code(wildcards):
    return code(*score_modules(experiment.benchmarks[wildcards.benchmark].kind))


def grades(arm, seed, benchmark):
    """Directory of a judge's grades."""
    return layout.artifacts / "grades" / arm / f"seed-{seed}" / benchmark


def judged(arm, seed, benchmark):
    """The grades that a score reads; none where a rule scores, or where no judge is configured."""
    return [grades(arm, seed, benchmark)] if experiment.benchmarks[benchmark].grader else []


def answers_from(wildcards):
    """What an evaluation reads: language model, model, questions with their images, and features."""
    return [
        layout.source(experiment.language.source),
        layout.model(wildcards.arm, wildcards.seed, "finetune"),
        benchmark_source(wildcards.benchmark),
        benchmark_features(wildcards.benchmark),
    ]


def benchmark_source(benchmark):
    return layout.source(experiment.benchmarks[benchmark].source)


def benchmark_features(benchmark):
    chosen = experiment.benchmarks[benchmark]
    return layout.features(chosen.source, chosen.split)


def artifact_directories():
    """All artifacts of the config: `all` asks for them, so that a clone, which has only their manifests, makes them."""
    trainings = [(stage, arm) for stage in ("pretrain", "finetune") for arm in experiment.arms]
    datasets = [dataset for training in trainings for dataset in mixture(*training).values()]
    images = [*datasets, *experiment.benchmarks.values()]
    sources = {experiment.vision.source, experiment.language.source, *(part.source for part in images)}
    return sorted(
        {
            *(layout.source(source) for source in sources),
            *(layout.selection(dataset) for dataset in caption_datasets()),
            *(path for dataset in caption_datasets() for path in fingerprints(dataset)),
            *(layout.raw_captions(dataset) for dataset in caption_datasets()),
            *(layout.captions(dataset) for dataset in caption_datasets()),
            *(path for training in trainings for path in feature_directories(*training).values()),
            *(layout.features(part.source, part.split) for part in experiment.benchmarks.values()),
            *model_directories(),
            *(layout.predictions(*run, benchmark) for run in runs() for benchmark in experiment.benchmarks),
            *(path for of in evaluations() for path in judged(*of)),
            *attention_directories(),
        }
    )


# What the report reads and makes -----------------------------------------------------------------------------------------


def runs():
    """All (arm, seed) pairs."""
    return [(arm, seed) for arm in experiment.arms for seed in experiment.seeds]


def evaluation(wildcards):
    """Arm, seed and benchmark of a job."""
    return wildcards.arm, wildcards.seed, wildcards.benchmark


def evaluations():
    """The same of all jobs."""
    return [(*run, benchmark) for run in runs() for benchmark in experiment.benchmarks]


def score_files():
    return [str(layout.score(*run, benchmark)) for run in runs() for benchmark in experiment.benchmarks]


def model_directories():
    """Both training stages of every run: their weights and metrics."""
    return [layout.model(*run, stage) for run in runs() for stage in ("pretrain", "finetune")]


def sample_directories():
    """Where the page finds sample answers and their images."""
    answers = [layout.predictions(*run, benchmark) for run in runs() for benchmark in experiment.benchmarks]
    return [*answers, *sorted({benchmark_source(benchmark) for benchmark in experiment.benchmarks})]


def attention_benchmark():
    """The benchmark whose images the attention figure shows: the first."""
    return next(iter(experiment.benchmarks))


def attention_directories():
    """Attention maps of one ParGo model: of the headline arm, or else of the first arm that has such a projector."""
    arms = [experiment.report.headline_arm, *experiment.arms]
    chosen = [arm for arm in arms if experiment.arms[arm].projector.name == "pargo"]
    return [layout.attention(arm, experiment.seeds[0]) for arm in chosen[:1]]


def table_files():
    return [str(layout.reports / "tables" / name) for name in TABLES]


def figure_files():
    return [str(layout.reports / "figures" / name) for name in FIGURES]


def reported_captions(dataset):
    return [layout.captions(dataset), layout.selection(dataset), dataset_source(dataset)]


def caption_report_files(dataset):
    """Card, figure and samples of a dataset's captions."""
    return [str(layout.caption_report(dataset, name)) for name in CAPTION_REPORT]


def templates():
    """Files beside the report's code that are not Python."""
    return [str(path) for path in sorted(Path("pargo/report/templates").glob("*"))]
