"""The plan as a table, with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from pargo.plan.jobs import Assumptions, Row
from pargo.units import size

ORDER = ("features", "warm_up", "pretrain", "finetune", "evaluate")  # stages that wait for each other


def render(rows: Sequence[Row], assumptions: Assumptions, title: str, origin: str = "") -> Group:
    """What has to be fetched and computed, and the assumptions in words; `origin`: of the language model's sizes."""
    fetched, computed = (Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1)) for _ in range(2))
    for name, footer in (
        ("source", "all"),
        ("download", size(sum(row.download for row in rows))),
        ("basis", ""),
    ):
        fetched.add_column(name, footer=footer, justify="right" if name == "download" else "left", no_wrap=True)
    for name, footer in (
        ("stage", "all"),
        ("what", ""),
        ("jobs", str(sum(row.jobs for row in rows if row.flops))),
        ("each", ""),
        ("GPU-hours", _hours(_sum(row.gpu_seconds for row in rows))),
        ("longest", ""),
        ("storage", size(sum(row.storage for row in rows))),
        ("checkpoints", size(sum(row.transient for row in rows))),
        ("basis", ""),
    ):
        left = name in ("stage", "what", "basis")
        computed.add_column(name, footer=footer, justify="left" if left else "right", no_wrap=True)
    stage = "download"
    for row in rows:
        basis = row.basis.partition(" on ")[0]
        if row.stage == "download":
            fetched.add_row(row.what, size(row.download), basis)
            continue
        if stage != row.stage and row.stage == "pretrain":
            computed.add_section()
        stage = row.stage
        count = str(row.jobs) if row.flops else ""
        sizes = size(row.storage), size(row.transient)
        times = _hours(row.gpu_seconds), _duration(row.wall_seconds)
        computed.add_row(row.stage, row.what, count, row.work, *times, *sizes, basis)
    return Group(Text(title, style="bold"), fetched, computed, Text(_notes(rows, assumptions, origin)))


def _notes(rows: Sequence[Row], assumptions: Assumptions, origin: str) -> str:
    lines = []
    timed = [row for row in rows if row.stage in ORDER]
    if all(row.wall_seconds is not None for row in timed):
        stages = ([row.wall_seconds or 0.0 for row in timed if row.stage == stage] for stage in ORDER)
        seconds = sum(max(found, default=0.0) for found in stages)
        lines.append(f"Wall time if all jobs of a stage run at once: {_duration(seconds)}.")
    disk = sum(row.download + 2 * row.storage + row.transient for row in rows)
    lines.append(
        f"Disk: {size(disk)} for what is fetched, what is made of it (twice: DVC's cache is a copy), and checkpoints."
    )
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
    lines += [f"Sizes of the language model: {origin}."] if origin else []
    lines.append(
        "Downloads: as pargo/fetch/downloads.yaml says, exactly where `stated`, each counted once; what is imported of "
        "them is storage too."
    )
    lines.append(
        "Not counted: queues, start-up, reading data, captions and scores (CPU), and what a failed job repeats. "
        "checkpoints: at most, and freed when a training is done."
    )
    return "\n".join(lines)


def _sum(values: object) -> float | None:
    known = [value for value in values if value is not None]  # type: ignore[attr-defined]
    return sum(known) if known else None


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
