"""What the rules share: the validated config, the layout of files, and all helper functions."""

import os
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from pargo.code import import_closure
from pargo.config.base import canonical_json
from pargo.config.experiment import parse_config
from pargo.errors import ConfigError
from pargo.fetch.table import not_fetched
from pargo.files import sha256_text
from pargo.graph.stage_settings import settings_of
from pargo.layout import Layout, manifest_path, seed_folder
from pargo.report.settings import CAPTION_REPORT, FIGURES, TABLES
from pargo.sources.download import listing
from pargo.sources.needed import source_downloads
from pargo.stages import STAGES

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


def followed(paths):
    """What Snakemake watches of the paths: of an artifact its manifest and its directory, of others the files."""
    artifacts = [path for path in map(Path, paths) if path.is_relative_to(layout.artifacts)]
    files = [str(path) for path in paths if Path(path) not in artifacts]
    return [*map(manifest, artifacts), *map(contents, artifacts), *files]


@cache
def code(*modules):
    """Source files of a stage: a change of them reruns it, a change of other files does not."""
    return [str(path) for path in import_closure(*modules)]


def local_files(source):
    """Which files that somebody put there are or were imported: a change imports them again, their absence does not."""
    chosen = experiment.sources[source]
    own = not_fetched(chosen.inputs, source_downloads(chosen).values())
    return listing(own, Path(run_directory("download", source)))


def settings(stage):
    """Parameter function of a rule: canonical JSON of its stage's settings."""
    return lambda wildcards: canonical_json(settings_of(experiment, stage, wildcards))


def reads(stage, **more):
    """Input function of a rule: source files of its stage, and what it reads.

    `more` are other paths, or the files to watch in place of an input that is a folder of them.
    """

    def files(wildcards):
        modules = STAGES[stage].modules(settings_of(experiment, stage, wildcards))
        paths = [path for value in (INPUTS[stage](wildcards) | more).values() for path in listed(value)]
        return {"code": code(*modules), "paths": followed(paths)}

    return unpack(files)


def options(stage):
    """Parameter function of a rule: the paths that its stage reads, as options of its command."""

    def text(wildcards):
        paths, words = INPUTS[stage](wildcards), []
        for given in STAGES[stage].inputs:
            option = [] if given.positional else [f"--{given.name}"]
            value = paths[given.name]
            values = [f"{name}={path}" for name, path in value.items()] if given.kind == "named" else listed(value)
            words += [str(word) for value in values for word in (*option, value)]
        return " ".join(words)

    return text


def listed(value):
    """Paths of one input: a path, none, a list of paths, or paths by name."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [] if value is None else [value]


def command(stage, *run, output="{output.directory}"):
    """Shell command of a rule; `run` are the parts of its job's run directory."""
    chosen = STAGES[stage]
    parts = [f"python -m pargo {chosen.command} --settings {{params.settings:q}} {{params.inputs}} --output {output}"]
    if run:
        parts.append(f"--run-directory {run_directory(stage, *run)}")
    if chosen.heavy:
        parts.append("--executor {resources.executor}")
    return " ".join([*parts, "> {log} 2>&1"])


def log_file(name):
    return str(layout.log(name))


def run_directory(stage, *parts):
    """Where a job keeps checkpoints and its job record: no output, so Snakemake never deletes it."""
    return layout.run_directory(stage, *parts).as_posix()


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


def dataset_fingerprints(dataset):
    chosen = experiment.datasets[dataset]
    return layout.fingerprints(chosen.source, chosen.split)


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


def tower(stage, arm):
    """The vision tower's weights, likewise."""
    return None if stores_features(stage, arm) else layout.source(experiment.vision.source)


def judged(arm, seed, benchmark):
    """The grades that a score reads; none where a rule scores, or where no judge is configured."""
    return layout.grades(arm, seed, benchmark) if experiment.benchmarks[benchmark].grader else None


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
            *(dataset_fingerprints(dataset) for dataset in caption_datasets()),
            *(path for _ in caption_datasets() for path in benchmark_fingerprints().values()),
            *(layout.raw_captions(dataset) for dataset in caption_datasets()),
            *(layout.captions(dataset) for dataset in caption_datasets()),
            *(path for training in trainings for path in feature_directories(*training).values()),
            *(layout.features(part.source, part.split) for part in experiment.benchmarks.values()),
            *model_directories(),
            *(layout.predictions(*of) for of in evaluations()),
            *(path for of in evaluations() for path in listed(judged(*of))),
            *attention_directories(),
        }
    )


# What the report reads and makes -----------------------------------------------------------------------------------------


def runs():
    """All (arm, seed) pairs."""
    return [(arm, seed) for arm in experiment.arms for seed in experiment.seeds]


def evaluations():
    """Arm, seed and benchmark of all jobs."""
    return [(*run, benchmark) for run in runs() for benchmark in experiment.benchmarks]


def score_files():
    return [str(layout.score(*of)) for of in evaluations()]


def model_directories():
    """Both training stages of every run: their weights and metrics."""
    return [layout.model(*run, stage) for run in runs() for stage in ("pretrain", "finetune")]


def sample_directories():
    """Where the page finds sample answers and their images."""
    answers = [layout.predictions(*of) for of in evaluations()]
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
    return [str(layout.tables / name) for name in TABLES]


def report_folders():
    return {"tables": layout.tables, "figures": layout.figures}


def figure_files():
    return [str(layout.figures / name) for name in FIGURES]


def caption_report_files(dataset):
    """Card, figure and samples of a dataset's captions."""
    return [str(layout.caption_report(dataset) / name) for name in CAPTION_REPORT]


def templates():
    """Files beside the report's code that are not Python."""
    return [str(path) for path in sorted(Path("pargo/report/templates").glob("*"))]


# What the stages read: paths by the names of pargo/stages.py, and by wildcards -------------------------------------------

INPUTS = {
    "download": lambda w: {},
    "fingerprint": lambda w: {"source": layout.source(w.source)},
    "select": lambda w: {"fingerprints": dataset_fingerprints(w.dataset), "benchmarks": benchmark_fingerprints()},
    "caption": lambda w: {"source": dataset_source(w.dataset), "selection": layout.selection(w.dataset)},
    "filter": lambda w: {"source": dataset_source(w.dataset), "captions": layout.raw_captions(w.dataset)},
    "features": lambda w: {"source": layout.source(w.source), "vision": layout.source(experiment.vision.source)},
    "pretrain": lambda w: {
        "language": layout.source(experiment.language.source),
        "captions": {name: layout.captions(name) for name in mixture("pretrain", w.arm)},
        "features": feature_directories("pretrain", w.arm),
        "images": image_directories("pretrain", w.arm),
        "vision": tower("pretrain", w.arm),
    },
    "finetune": lambda w: {
        "language": layout.source(experiment.language.source),
        "pretrained": layout.model(w.arm, w.seed, "pretrain"),
        "sources": {name: layout.source(dataset.source) for name, dataset in mixture("finetune", w.arm).items()},
        "features": feature_directories("finetune", w.arm),
        "vision": tower("finetune", w.arm),
    },
    "evaluate": lambda w: {
        "language": layout.source(experiment.language.source),
        "model": layout.model(w.arm, w.seed, "finetune"),
        "source": benchmark_source(w.benchmark),
        "features": benchmark_features(w.benchmark),
    },
    "grade": lambda w: {"predictions": layout.predictions(w.arm, w.seed, w.benchmark)},
    "score": lambda w: {
        "predictions": layout.predictions(w.arm, w.seed, w.benchmark),
        "grades": judged(w.arm, w.seed, w.benchmark),
    },
    "attention": lambda w: {
        "model": layout.model(w.arm, w.seed, "finetune"),
        "source": benchmark_source(attention_benchmark()),
        "features": benchmark_features(attention_benchmark()),
    },
    "report_tables": lambda w: {"scores": score_files()},
    "report_figures": lambda w: {
        "scores": score_files(),
        "models": model_directories(),
        "attention": attention_directories(),
    },
    "report_page": lambda w: {"scores": score_files(), **report_folders()},
    "report_captions": lambda w: {
        "captions": layout.captions(w.dataset),
        "selection": layout.selection(w.dataset),
        "source": dataset_source(w.dataset),
    },
}
