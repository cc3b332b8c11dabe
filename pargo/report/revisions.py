"""`pargo compare REVISION REVISION`: which numbers of a config's tables changed, and is that more than chance?"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pargo.benchmarks.scores.compare import ALPHA, Row
from pargo.benchmarks.scores.compare import compare as compare_runs
from pargo.config.base import Settings
from pargo.errors import PargoError
from pargo.files import read_json
from pargo.layout import Layout
from pargo.report.cells import MINUS, rounded
from pargo.statistics import holm

SHOWN = 40  # numbers, in a terminal

Meaning = Literal["more than seeds and images explain", "undecided", "one training seed"]


class Change(Settings):
    """A number of the tables that is another one now."""

    number: str
    before: str
    after: str


class ScoreChange(Settings):
    """A score of an arm at both revisions, compared as two arms would be: `row` is of A minus B."""

    arm: str
    row: Row
    meaning: Meaning


class Changes(Settings):
    """What differs between the reports of a config at two revisions."""

    revision_a: str
    revision_b: str
    cells: tuple[Change, ...]
    only_a: tuple[str, ...]  # numbers
    only_b: tuple[str, ...]
    scores: tuple[ScoreChange, ...]  # those that differ
    equal: int  # scores that do not
    notes: tuple[str, ...]


def compare_revisions(config: str, first: str, second: str | None, samples: int) -> Changes:
    """Compare the tables and score files of a config at two commits, or at one and as they are here.

    Args:
        first, second: what git takes for a commit; None: the files as they are here.
        samples: bootstrap draws.

    Raises:
        PargoError: no such commit, or no report of the config there.
    """
    with _report(config, first) as before, _report(config, second) as after:
        cells_a, cells_b = (read_json(folder / "tables/cells.json")["cells"] for folder in (before, after))
        scores, equal, notes = _scores(before / "scores", after / "scores", samples)
        return Changes(
            revision_a=first,
            revision_b=second or "the files here",
            cells=tuple(
                Change(number=key, before=_text(cells_a[key]), after=_text(cells_b[key]))
                for key in cells_a
                if key in cells_b and _text(cells_a[key]) != _text(cells_b[key])
            ),
            only_a=tuple(key for key in cells_a if key not in cells_b),
            only_b=tuple(key for key in cells_b if key not in cells_a),
            scores=tuple(scores),
            equal=equal,
            notes=tuple(notes),
        )


@contextmanager
def _report(config: str, revision: str | None) -> Iterator[Path]:
    """The folder of a config's report, as it was at a revision."""
    reports = Layout(config).reports
    if revision is None:
        if not reports.is_dir():
            raise PargoError(f"{reports} does not exist: nothing of this config has been reported here")
        yield reports
        return
    command = ["git", "archive", "--format=tar", revision, "--", f"{reports.as_posix()}/"]
    found = subprocess.run(command, capture_output=True, check=False)
    if found.returncode:
        raise PargoError(f"{revision}: no {reports} there: {found.stderr.decode(errors='replace').strip()}")
    with TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder) / reports


def _text(cell: dict[str, Any]) -> str:
    return f"{cell['text']} {cell['interval_text']}".strip()


def _scores(before: Path, after: Path, samples: int) -> tuple[list[ScoreChange], int, list[str]]:
    """Scores of the arms that both have; those that differ, with Holm's correction over them, and how many do not."""
    names_a, names_b = ({path.name for path in folder.iterdir() if path.is_dir()} for folder in (before, after))
    rows: list[tuple[str, Row, bool]] = []
    notes = [f"only before: arm {name}" for name in sorted(names_a - names_b)]
    notes += [f"only after: arm {name}" for name in sorted(names_b - names_a)]
    for arm in sorted(names_a & names_b):
        try:
            found = compare_runs(before / arm, after / arm, samples)
        except PargoError as error:  # other questions, say: then nothing can be said of this arm
            notes.append(f"{arm}: not compared: {error}".replace(f"{after}/", "").replace(f"{before}/", ""))
            continue
        several = min(found.seeds_a, found.seeds_b) > 1
        notes += [f"{arm}: only before: {name}" for name in found.only_a]
        notes += [f"{arm}: only after: {name}" for name in found.only_b]
        notes += [f"{arm}: {row.label} is not graded" for row in found.rows if row.difference is None]
        if found.seeds_a != found.seeds_b:
            notes.append(f"{arm}: {found.seeds_a} seeds before, {found.seeds_b} after")
        rows += [(arm, row, several) for row in found.rows if row.difference is not None]
    changed = [(arm, row, several) for arm, row, several in rows if row.difference]
    adjusted = holm([row.p or 0.0 for _, row, _ in changed])
    changes = [
        ScoreChange(arm=arm, row=row.model_copy(update={"p_holm": p}), meaning=_meaning(p, several))
        for (arm, row, several), p in zip(changed, adjusted, strict=True)
    ]
    return changes, len(rows) - len(changed), notes


def _meaning(p: float, several: bool) -> Meaning:
    if not several:
        return "one training seed"
    return "more than seeds and images explain" if p < ALPHA else "undecided"


def render(changes: Changes) -> str:
    """For a terminal: the scores that differ and what that means, then the numbers of the tables."""
    lines = [f"A: {changes.revision_a}", f"B: {changes.revision_b}", ""]
    for change in changes.scores:
        row, scale = change.row, 1 if change.row.maximum > 1 else 100
        low, high = row.interval or (0.0, 0.0)  # of A - B; what is told is by how much it changed
        lines.append(
            f"{change.arm}, {row.label}: {_number(row.value_a, scale)} -> {_number(row.value_b, scale)}, "
            f"{_signed(-(row.difference or 0), scale)} [{_signed(-high, scale)}, {_signed(-low, scale)}], "
            f"p after Holm {row.p_holm or 0:.3g}: {change.meaning}"
        )
    if changes.scores:
        lines.append(
            f"p: corrected over the {len(changes.scores)} scores that differ; brackets are not, so one may exclude "
            "zero and be undecided"
        )
    lines.append(f"{changes.equal} scores are the same")
    lines.append(
        f"numbers of the tables: {len(changes.cells)} changed, {len(changes.only_a)} gone, {len(changes.only_b)} new"
    )
    shown = changes.cells[:SHOWN]
    lines += [f"  {change.number}: {change.before} -> {change.after}" for change in shown]
    if len(changes.cells) > len(shown):
        lines.append(f"  and {len(changes.cells) - len(shown)} more (--json shows all)")
    return "\n".join([*lines, *changes.notes]) + "\n"


def _number(value: float | None, scale: int) -> str:
    return "?" if value is None else f"{rounded(value, 1, scale)}"


def _signed(value: float, scale: int) -> str:
    return f"{rounded(value, 1, scale):+}".replace("-", MINUS)
