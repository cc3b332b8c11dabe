"""A score record on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pargo.benchmarks.scores.score_parts import Figure, Task
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.config.benchmarks import BENCHMARKS


def show(record: ScoreRecord, console: Console | None = None) -> None:
    """Print headline, tasks and all other figures of a record."""
    console = console or Console()
    line = record.headline
    edition = f" ({words})" if (words := record.edition_words) else ""
    name = f"{record.benchmark}{edition}, parser {record.parser} (version {record.parser_version})"
    counted = BENCHMARKS.settings(record.benchmark).by_task.counted
    if line.value is None:
        console.print(f"[bold]{name}: not graded[/bold]; {line.num_questions} questions wait for a judge")
    else:
        console.print(
            f"[bold]{name}: {line.name} {_number(line.value)}[/bold] of {line.maximum:g}, "
            f"95 % interval {_interval(line.interval)}"
        )
        console.print(
            f"{line.num_questions:,} {counted}, {line.num_images:,} images",
            highlight=False,
        )
        console.print(_tasks(record.tasks))
        for remark in _without_width(record.tasks):
            console.print(remark, highlight=False, markup=False)
    for path, value in _flat(record.figures):
        console.print(f"{path}: {_number(value)}", highlight=False, markup=False)
    if record.counts:
        console.print(
            ", ".join(f"{key} {value:,}" for key, value in record.counts.items()), highlight=False, markup=False
        )
    for note in record.notes:
        console.print(f"Note: {note}.", highlight=False, markup=False)


def _tasks(tasks: Mapping[str, Task]) -> Table:
    plus = any(task.accuracy_plus is not None for task in tasks.values())
    accuracy = any(task.accuracy is not None for task in tasks.values())
    table = Table(box=None, pad_edge=False)
    table.add_column("task", no_wrap=True)
    for head in (
        "score",
        "95 % interval",
        *(["acc"] if accuracy else []),
        *(["acc+"] if plus else []),
        "n",
        "unparseable",
    ):
        table.add_column(head, justify="right", no_wrap=True)
    for name, task in tasks.items():
        table.add_row(
            Text(name),  # a name in brackets is no style
            _number(task.score),
            _interval(task.interval),
            *([_number(task.accuracy)] if accuracy else []),
            *([_number(task.accuracy_plus)] if plus else []),
            f"{task.num_questions:,}",
            f"{task.unparseable:,}",
        )
    return table


def _without_width(tasks: Mapping[str, Task]) -> Iterable[str]:
    """What an interval from a value to itself does not mean: a bootstrap draws nothing but what was seen."""
    for name, task in tasks.items():
        if task.interval and task.interval[0] == task.interval[1]:
            other = 1 - 0.05 ** (1 / task.num_images)  # Clopper and Pearson's bound, one-sided
            yield (
                f"{name}: all {task.num_images:,} images scored alike, so the interval has no width; of other "
                f"images up to {other:.1%} may score otherwise (95 %)"
            )


def _flat(figures: Mapping[str, Figure], prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} / ")
        else:
            yield prefix + name, value


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"


def _number(value: float | None) -> str:
    """Shares with three decimals, points with one."""
    if value is None:
        return "-"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}".removesuffix(".0")
