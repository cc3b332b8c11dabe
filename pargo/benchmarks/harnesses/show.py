"""A harness's figures on the terminal, beside ours."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pargo.benchmarks.scores.score_parts import HarnessRecord

LONGEST = 60  # characters of an answer that are shown


def show(compared: HarnessRecord, console: Console | None = None) -> None:
    """Print what `pargo.benchmarks.harnesses.compare` gives."""
    console = console or Console()
    console.print()
    console.print(Text(f"The same answers by {compared.tool}", style="bold"))
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for head in (compared.harness, "ours", "difference"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, figure in compared.figures.items():
        theirs, ours = figure.theirs, figure.ours
        apart = "" if ours is None else "=" if abs(theirs - ours) < 5e-4 else f"{theirs - ours:+.3f}"
        table.add_row(Text(name), f"{theirs:.3f}", "" if ours is None else f"{ours:.3f}", apart)
    console.print(table)
    if read := compared.read_otherwise:
        console.print(
            f"{read.number:,} of {read.of:,} answers are right to one and wrong to the other", highlight=False
        )
        for item in read.examples:
            answer = item.answer if len(item.answer) <= LONGEST else f"{item.answer[:LONGEST]}..."
            line = f"  {answer!r} is {item.theirs[:LONGEST]!r} there, {item.ours!r} here, label {item.label!r}"
            console.print(Text(line))
    console.print("Why they differ:")
    for sentence in compared.why:
        console.print(Text(f"- {sentence}"))
