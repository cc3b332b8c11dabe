"""The plan as a table, with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pargo.plan.jobs import Assumptions, Row

ORDER = ("features", "pretrain", "finetune", "evaluate")  # stages that wait for each other


def render(rows: Sequence[Row], assumptions: Assumptions, title: str) -> Group:
    """Table, sums, and the assumptions in words."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_footer=True)
    for name, footer in (
        ("stage", "all"),
        ("what", ""),
        ("jobs", str(sum(row.jobs for row in rows if row.flops))),
        ("work of a job", ""),
        ("PFLOP", _number(sum(row.flops for row in rows) / 1e15)),
        ("GPU-hours", _hours(_sum(row.gpu_seconds for row in rows))),
        ("longest job", ""),
        ("download", _size(sum(row.download for row in rows))),
        ("storage", _size(sum(row.storage for row in rows))),
        ("checkpoints", _size(sum(row.transient for row in rows))),
        ("basis", ""),
    ):
        right = name not in ("stage", "what", "work of a job", "basis")
        table.add_column(name, footer=footer, justify="right" if right else "left", no_wrap=name in ("stage", "what"))
    stage = None
    for row in rows:
        if stage not in (None, row.stage) and row.stage in ("caption", "pretrain"):
            table.add_section()
        stage = row.stage
        table.add_row(
            row.stage,
            row.what,
            str(row.jobs) if row.flops else "",
            row.work,
            _number(row.flops / 1e15),
            _hours(row.gpu_seconds),
            _duration(row.wall_seconds),
            _size(row.download),
            _size(row.storage),
            _size(row.transient),
            row.basis.partition(" on ")[0],
        )
    return Group(table, Text(_notes(rows, assumptions)))


def _notes(rows: Sequence[Row], assumptions: Assumptions) -> str:
    lines = []
    timed = [row for row in rows if row.stage in ORDER]
    if all(row.wall_seconds is not None for row in timed):
        stages = ([row.wall_seconds or 0.0 for row in timed if row.stage == stage] for stage in ORDER)
        seconds = sum(max(found, default=0.0) for found in stages)
        lines.append(f"Wall time if all jobs of a stage run at once: {_duration(seconds)}.")
    measured = sorted({row.basis for row in rows if row.basis.startswith("measured")})
    if any(row.basis == "assumed" for row in rows):
        lines.append(
            f"assumed: counted operations at {assumptions.utilisation:.0%} of the {assumptions.peak / 1e12:,.0f} "
            f"TFLOP/s (bf16, dense, data sheet) of one {assumptions.gpu}, {assumptions.decoding:.0%} while answers are "
            "generated. Lengths of texts: as the config estimates them, or typical ones."
        )
    elif not measured:
        lines.append("No time is reckoned: the jobs file asks for no GPU, and no run with these settings is there.")
    lines += [f"{basis}: by a run with these settings, the slowest of its seeds." for basis in measured]
    lines.append("stated: about what the config or the table of packages says; storage holds it once more.")
    lines.append(
        "Not counted: queues, start-up, reading data, captions and scores (CPU), and what a failed job repeats. "
        "checkpoints: at most, and freed when a training is done."
    )
    return "\n".join(lines)


def _sum(values: object) -> float | None:
    known = [value for value in values if value is not None]  # type: ignore[attr-defined]
    return sum(known) if known else None


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}" if value else ""


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:.0f} B" if count else ""
