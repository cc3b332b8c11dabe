"""Benchmarks: which files, which prompt, which reading of the answers; a module a kind.

The default prompt is the one whose answers end where this project's models learn to end them, at a newline: others stop
at the end-of-text token alone, and what a model writes until there would be read as its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import model_validator

from pargo.config.base import Name, Settings
from pargo.config.parts import check_implementation
from pargo.config.plugins import Kind
from pargo.errors import PargoError

# of each part of a benchmark's package what all have; `pargo.benchmarks.parts` says how they are called
PARTS: dict[str, tuple[str, ...]] = {
    "answers": ("parse",),
    "dataset": ("read_questions",),
    "prompt": ("PRESETS",),
    "results": ("read", "write"),
    "score": ("PARSERS", "score"),
}


class Size(NamedTuple):
    """What `pargo plan` counts with: numbers of the whole benchmark, tokens of one question and of one answer."""

    questions: int
    images: int
    asked_tokens: int
    answered_tokens: int


class ByTask(NamedTuple):
    """What readers call a task, its score, and what is counted in it, e.g. `kind of fact`, `F1` and `facts`."""

    task: str = "task"
    score: str = "Score"
    counted: str = "questions"


class BenchmarkSettings(Settings):
    """What all benchmarks have in a config.

    Class variables, by kind:
        title: what readers call it.
        size: for `pargo plan`; None where the config's own files decide it.
        package: folder of `pargo/benchmarks/` with its parts; empty for that of its own name.
        needs: functions that its parts have beyond `PARTS`, by part.
        leads: its table comes before those of others in the report.
        whole: `pargo score` takes no part of it for the benchmark unless told to.
        of_annotations: its questions are made of the annotations of images, of any source that has them.
        by_task: words of its table by task.
    """

    title: ClassVar[str]
    size: ClassVar[Size | None] = None
    package: ClassVar[str] = ""
    needs: ClassVar[dict[str, tuple[str, ...]]] = {}
    leads: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    of_annotations: ClassVar[bool] = False
    by_task: ClassVar[ByTask] = ByTask()

    kind: str
    source: Name
    split: str
    prompt: str
    parser: str

    def size_of(self, num_images: int | None) -> Size | None:
        """Its size where that of its source decides it; None where that is not known, or `size` says it."""
        return None

    @property
    def ranks(self) -> bool:
        """Whether options are ranked by their loss, and no answer is generated."""
        return self.parser.startswith("ranking")

    @property
    def label_losses(self) -> bool:
        """Whether models are asked, too, how likely they find the facts of the right answers."""
        return "label_spans" in self.needs.get("answers", ())

    @property
    def asked_model(self) -> Literal["pretrain", "finetune"]:
        """The stage whose models answer."""
        return "finetune"

    @property
    def grader(self) -> Settings | None:
        """The judge who grades answers before they are scored; None where a rule scores."""
        return None

    @property
    def ungraded(self) -> BenchmarkSettings:
        """What answers and scores depend on: all but the judge, who reads answers and does not change them."""
        return self

    @model_validator(mode="after")
    def _has_its_parts(self) -> BenchmarkSettings:
        try:
            check_parts(self.kind)
        except PargoError as error:
            raise ValueError(str(error)) from None
        return self


BENCHMARKS = Kind("pargo.config.benchmarks", BenchmarkSettings, tag="kind", word="benchmark")

if TYPE_CHECKING:
    Benchmark = BenchmarkSettings
else:
    Benchmark = BENCHMARKS.chosen  # the settings of one benchmark, in a stage's settings


def part(kind: str, name: str) -> str:
    """Dotted name of a part's module, e.g. `pargo.benchmarks.mme.score`; PargoError lists the benchmarks."""
    return f"pargo.benchmarks.{BENCHMARKS.settings(kind).package or kind}.{name}"


def check_parts(kind: str) -> None:
    """Raise PargoError unless a benchmark's package has every part with the functions that are called."""
    settings = BENCHMARKS.settings(kind)
    if not isinstance(getattr(settings, "title", None), str):
        raise PargoError(f"{settings.__module__}: {settings.__name__} lacks `title`, what readers call the benchmark")
    needed = {part(kind, name): (*names, *settings.needs.get(name, ())) for name, names in PARTS.items()}
    check_implementation(f"benchmark {kind!r}", needed)
