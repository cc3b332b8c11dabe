"""The stages of the graph, each once: the rules (workflow/rules/), the commands `pargo <stage>` and the jobs read this.

A stage is a function `run(settings, <inputs>, output, ...)` of a module. What it reads of the config is in
`pargo.graph.stage_settings`, its paths are in `pargo.graph.inputs`. Light, as the command line reads it first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pargo.code import PACKAGE, ROOT, import_closure
from pargo.errors import UsageError

Value = Path | None | Mapping[str, Path] | Sequence[Path]  # of an input: what its `kind` says


def listed(value: Value) -> list[Path]:
    """The paths of an input."""
    if isinstance(value, Mapping):
        return list(value.values())
    return [] if value is None else [value] if isinstance(value, Path) else list(value)


class Input(NamedTuple):
    """What a stage reads: an argument of its `run`, an option of its command, inputs of its rule.

    Args:
        name: of the argument and of the option.
        kind: `one` path, `named` paths (a mapping, given as NAME=DIR), or `several` paths.
        optional: there may be none; `run` then gets None, or no path.
        positional: the command takes it without the option's name.
    """

    name: str
    kind: Literal["one", "named", "several"] = "one"
    optional: bool = False
    positional: bool = False


class Plugin(NamedTuple):
    """Modules that a stage loads by name, and whose source decides what it does, as its own does.

    Args:
        function: `module:function`, which gives their names.
        fields: what it is given of the stage's settings, with dots between the parts, e.g. `benchmark.kind`.
    """

    function: str
    fields: tuple[str, ...]

    def modules(self, settings: Any) -> tuple[str, ...]:
        """Names of the modules for these settings; errors as of `field`, and PargoError of a plug-in there is not."""
        module, _, name = self.function.partition(":")
        return tuple(getattr(import_module(module), name)(*(field(settings, path) for path in self.fields)))


class Shards(NamedTuple):
    """How several jobs share a stage's work: each does a part, and `run` then puts the parts together.

    Args:
        function: `module:function` of a part: it takes the arguments of `run` but for `output`, and `shard`.
        number: field of the settings, how many jobs.
        argument: of `run`, which takes what the parts left.
        file: what a part leaves in its run directory; the directory itself when empty.
    """

    function: str
    number: str
    argument: str
    file: str = ""


class Stage(NamedTuple):
    """A stage of the graph.

    Args:
        name: of its rule.
        module: whose `run` does it.
        help: one sentence.
        inputs: in the order of its command's options.
        words: of its command, where they are not its name with a space for `_`.
        heavy: a job does it (`--executor`), where light ones run in the process of their command.
        keeps: `run` keeps something in its run directory.
        shards: where several jobs may share it.
        plugins: modules that it loads by name.
        finds: it reads more than its inputs, which its command is told with `--found`.
        templates: folder of files that it fills in, relative to the project root: part of its code.
        local: gives the files of a person that it reads.
    """

    name: str
    module: str
    help: str
    inputs: tuple[Input, ...]
    words: str = ""
    heavy: bool = False
    keeps: bool = False
    shards: Shards | None = None
    plugins: tuple[Plugin, ...] = ()
    finds: bool = False
    templates: str = ""
    local: Plugin | None = None

    @property
    def command(self) -> str:
        """Name of its command, e.g. `report tables`."""
        return self.words or self.name.replace("_", " ")

    def modules(self, settings: Any) -> tuple[str, ...]:
        """Modules whose source decides what the stage does, its own first.

        Args:
            settings: of the stage, as objects or as read from JSON.

        Raises:
            UsageError: the settings lack a field that names a plug-in.
            PargoError: there is no such plug-in.
        """
        return self.module, *(name for plugin in self.plugins for name in plugin.modules(settings))

    def local_files(self, settings: Any) -> tuple[Path, ...]:
        """Files and folders that a person put there, and that the stage reads; arguments as of `modules`."""
        return tuple(map(Path, self.local.modules(settings))) if self.local else ()

    def code_files(self, settings: Any) -> tuple[Path, ...]:
        """Source files that decide what the stage does, relative to the project root; arguments as of `modules`."""
        return self.files_of(self.modules(settings))

    def files_of(self, modules: tuple[str, ...]) -> tuple[Path, ...]:
        """The same, of what `modules` gives."""
        templates = sorted((ROOT / self.templates).glob("*")) if self.templates else []
        ours = [name for name in modules if name.startswith(f"{PACKAGE}.")]
        return (*import_closure(*ours), *(path.relative_to(ROOT) for path in templates))


def field(settings: Any, path: str) -> Any:
    """A field of settings, be they objects or read from JSON; a plug-in that is written as its kind alone is its kind.

    Raises:
        UsageError: there is none.
    """
    value, names = settings, path.split(".")
    for depth, name in enumerate(names):
        if name == "kind" and isinstance(value, str):
            return value
        try:
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
        except (KeyError, AttributeError):
            known = max(depth, 1)
            needs = f"expected a mapping with {names[known]}" if known < len(names) else "required but not given"
            raise UsageError(f"{'.'.join(names[:known])}: {needs}") from None
    return value


SCORES = Input("scores", "several")
TRAINING = Input("training")
FEATURES = Input("features", "named", optional=True)  # stored ones; else the tower runs in the loop
TOWER = Input("vision", optional=True)
TEMPLATES = "pargo/report/templates"
PROJECTOR = Plugin("pargo.config.projectors:projector_modules", ("projector.name",))
SHOWN = Plugin("pargo.report.settings:shown_modules", ("projectors", "benchmarks"))

STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "download",
            "pargo.sources.download",
            "Fetch, generate or import one source.",
            (),
            keeps=True,
            plugins=(Plugin("pargo.sources.download:source_modules", ("source", "pin")),),
            local=Plugin("pargo.sources.download:local_files", ("source", "downloads")),
        ),
        Stage(
            "fingerprint",
            "pargo.data.selection.fingerprint",
            "Hash what the images of one split look like, to find those that are alike.",
            (Input("source"),),
            heavy=True,
            keeps=True,
        ),
        Stage(
            "select",
            "pargo.data.selection.select",
            "Choose the images of one dataset that are captioned: none twice, none of a benchmark.",
            (Input("fingerprints"), Input("benchmarks", "named")),
            heavy=True,
        ),
        Stage(
            "caption",
            "pargo.captions.build",
            "Caption the selected images of one dataset; several jobs share them where the config says so.",
            (Input("source"), Input("selection")),
            heavy=True,
            keeps=True,
            shards=Shards("pargo.captions.build:caption_shard", "captions.num_shards", "shards"),
            plugins=(Plugin("pargo.captions.engines:caption_modules", ("captions.engine.kind",)),),
            local=Plugin("pargo.captions.local:of_captions", ("captions",)),
        ),
        Stage(
            "filter",
            "pargo.captions.filter",
            "Keep the captions of one dataset that are good enough, and count the others by reason.",
            (Input("source"), Input("captions")),
            heavy=True,
            local=Plugin("pargo.captions.local:of_quality", ("quality",)),
        ),
        Stage(
            "features",
            "pargo.models.features",
            "Compute the frozen vision tower's features of one split.",
            (Input("source"), Input("vision")),
            heavy=True,
        ),
        Stage(
            "warm_up",
            "pargo.train.warm_up",
            "Train a small language model on text alone, for all arms and seeds.",
            (Input("language"), Input("sources", "named")),
            words="warm-up",
            heavy=True,
            keeps=True,
        ),
        Stage(
            "pretrain",
            "pargo.train.pretrain",
            "Train the projector of one arm on captions.",
            (Input("language"), Input("captions", "named"), FEATURES, Input("images", "named", optional=True), TOWER),
            heavy=True,
            keeps=True,
            plugins=(PROJECTOR,),
        ),
        Stage(
            "finetune",
            "pargo.train.finetune",
            "Train the projector and LoRA of one arm on conversations.",
            (Input("language"), Input("pretrained"), Input("sources", "named"), FEATURES, TOWER),
            heavy=True,
            keeps=True,
            plugins=(PROJECTOR,),
        ),
        Stage(
            "evaluate",
            "pargo.benchmarks.answering.evaluate",
            "Answer the questions of one benchmark with one model; several jobs share them where the config says so.",
            (Input("language"), Input("model"), Input("source"), Input("features")),
            heavy=True,
            keeps=True,
            shards=Shards(
                "pargo.benchmarks.answering.evaluate:answer", "generation.num_shards", "answers", "answers.jsonl"
            ),
            plugins=(Plugin("pargo.benchmarks:answer_modules", ("benchmark.kind",)), PROJECTOR),
        ),
        Stage(
            "grade",
            "pargo.benchmarks.mmvet.grade",
            "Let a judge model grade the answers to one benchmark.",
            (Input("predictions"),),
            keeps=True,
        ),
        Stage(
            "score",
            "pargo.benchmarks.scores.score",
            "Score the saved answers to one benchmark.",
            (Input("predictions", positional=True), Input("grades", optional=True)),
            words="score predictions",
            plugins=(Plugin("pargo.benchmarks:score_modules", ("benchmark.kind",)),),
        ),
        Stage(
            "attention",
            "pargo.report.attention",
            "Store where the tokens of one model look, for the attention figure.",
            (Input("model"), Input("source"), Input("features")),
            plugins=(PROJECTOR,),
        ),
        Stage(
            "report_training",
            "pargo.report.training",
            "Write down what each model cost and how its training went.",
            (Input("models", "several"),),
            plugins=(SHOWN,),
        ),
        Stage(
            "report_answers",
            "pargo.report.answers",
            "Put the answers of all models side by side, with their marks.",
            (SCORES, Input("predictions", "several")),
            plugins=(Plugin("pargo.report.settings:shown_benchmarks", ("benchmarks",)),),
        ),
        Stage(
            "report_tables",
            "pargo.report.tables",
            "Write the tables.",
            (SCORES, TRAINING),
            plugins=(SHOWN,),
            finds=True,
        ),
        Stage(
            "report_figures",
            "pargo.report.figures",
            "Draw the figures.",
            (SCORES, TRAINING, Input("attention", "several", optional=True)),
            plugins=(SHOWN,),
        ),
        Stage(
            "report_page",
            "pargo.report.page",
            "Write the page for readers.",
            (
                SCORES,
                TRAINING,
                Input("answers"),
                Input("tables"),
                Input("figures"),
                Input("attention", "several", optional=True),
            ),
            plugins=(SHOWN,),
            finds=True,
            templates=TEMPLATES,
        ),
        Stage(
            "report_captions",
            "pargo.report.captions",
            "Write the dataset card of a caption set, its figure and a page of samples.",
            (Input("captions"), Input("selection"), Input("source")),
            plugins=(Plugin("pargo.config.engines:engine_settings", ("captions.engine.kind",)),),
            templates=TEMPLATES,
        ),
    )
}
