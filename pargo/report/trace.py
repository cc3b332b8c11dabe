"""`pargo trace`: from a number in a table to the lines that made it, and whether each of them is still as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pargo.arguments import choice
from pargo.config.base import Settings
from pargo.errors import PargoError
from pargo.files import read_json, sha256_file
from pargo.layout import Layout, manifest_path, seed_of
from pargo.made import record_path
from pargo.manifest import RUN_RECORD, differing
from pargo.report.json_lines import lines_of
from pargo.report.provenance import SUFFIX

State = Literal["as recorded", "changed", "not here", "not recorded", "manifest as recorded, contents not here"]
AWAY: State = "manifest as recorded, contents not here"
SHOWN = 12  # lines of a file whose text is shown


class Lines(Settings):
    """Lines of a file that a number is made of.

    Attributes:
        numbers: runs of them, first and last, counted from 1.
        text: the first ones.
    """

    path: str
    state: State
    what: str
    numbers: tuple[tuple[int, int], ...] = ()
    text: tuple[str, ...] = ()


class Made(Settings):
    """An artifact behind a number; `commit` and `started` where its run record is at hand."""

    manifest: str
    state: State
    sha256: str
    code: str
    settings: str
    hardware: str
    commit: str = ""
    started: str = ""


class Trace(Settings):
    """All that is known of a number."""

    number: str
    text: str
    value: float | None
    interval: str
    status: str
    formula: str
    note: str
    images: int | None
    seeds: dict[str, float | None]
    files: tuple[Lines, ...]
    answers: tuple[Lines, ...]
    artifacts: tuple[Made, ...]
    again: str
    tables: tuple[str, ...] = ()  # what is wrong with the tables themselves

    @property
    def problems(self) -> list[str]:
        """What is not as it was when the number was made; an artifact that is not here is none."""
        lines = [*self.files, *self.answers]
        found = [*self.tables, *(f"{item.path}: {item.state}" for item in lines if item.state != "as recorded")]
        return list(dict.fromkeys(found)) + [
            f"{item.manifest}: changed" for item in self.artifacts if item.state == "changed"
        ]


class Tracer:
    """Traces the numbers of one config's tables; runs in the project's folder."""

    def __init__(self, config: str, config_file: str) -> None:
        """Read what the tables recorded.

        Raises:
            PargoError: there are no tables of this config.
        """
        self._layout, self._file = Layout(config), config_file
        self.records: dict[str, Any] = read_json(self._layout.tables / "cells.json")
        self._state = cache(self._state_of)
        cells = self._layout.tables / "cells.json"
        recorded = _recorded(cells)
        self._changed = () if not recorded or sha256_file(cells) == recorded else (f"{cells}: changed",)
        self._text = cache(lambda path: Path(path).read_text(encoding="utf-8"))
        self._answers_of = cache(self._read_answers)
        self._made = cache(self._made_of)

    def names(self, table: str = "", row: str = "") -> list[str]:
        """The tables; or the rows of one; or the columns with a number in a row."""
        if not table:
            return list(self.records["tables"])
        rows = {of["key"]: of for of in self.records["tables"][table]["rows"]}
        return list(rows[row]["cells"]) if row else list(rows)

    def trace(self, table: str, row: str, column: str) -> Trace:
        """Where a number comes from.

        Raises:
            UsageError: there is no such table, row or column; names the choices.
        """
        choice("TABLE", table, self.names())
        choice("ROW", row, self.names(table))
        choice("COLUMN", column, self.names(table, row))
        number = f"{table}/{row}/{column}"
        cell = self.records["cells"][number]
        files = tuple(self._lines(path, cell) for path in cell["files"])
        answers = tuple(found for path in cell["files"] for found in self._answers(Path(path), cell))
        behind = dict.fromkeys(name for path in cell["files"] for name in self.records["files"][path]["chain"])
        values = cell["seed_values"] or [None] * len(cell["seeds"])
        return Trace(
            number=number,
            text=cell["text"],
            value=cell["value"],
            interval=cell["interval_text"],
            status=cell["status"],
            formula=cell["formula"],
            note=cell["note"],
            images=cell["n"],
            seeds={str(seed): value for seed, value in zip(cell["seeds"], values, strict=True)},
            files=files,
            answers=answers,
            artifacts=tuple(self._made(name) for name in behind),
            again=f"pargo reproduce --config {self._file}",
            tables=self._changed,
        )

    def _state_of(self, path: str, sha256: str) -> State:
        if not Path(path).is_file():
            return "not here"
        return "as recorded" if sha256_file(Path(path)) == sha256 else "changed"

    def _lines(self, path: str, cell: dict[str, Any]) -> Lines:
        state, what = self._state(path, self.records["files"][path]["sha256"]), cell["where"]
        if state == "not here":
            return Lines(path=path, state=state, what=what)
        try:
            text = self._text(path)
            first, last = lines_of(text, what)
        except (PargoError, ValueError, LookupError) as error:  # edited by hand
            if state == "changed":
                return Lines(path=path, state=state, what=what)
            raise PargoError(f"{path}: {error}") from None
        shown = text.split("\n")[first - 1 : min(last, first + SHOWN - 1)] if what else []
        return Lines(path=path, state=state, what=what, numbers=((first, last),), text=tuple(shown))

    def _answers(self, score: Path, cell: dict[str, Any]) -> Iterator[Lines]:
        """The lines of the answers that a score file is of: of its benchmark, and of the task where it is of one."""
        seed = seed_of(score.parent)
        if seed is None or cell["status"] != "measured":
            return
        path = self._layout.answers / f"{score.stem}.jsonl"
        recorded = _recorded(path)
        state: State = self._state(path.as_posix(), recorded) if recorded else "not recorded"
        if not path.is_file():
            yield Lines(path=path.as_posix(), state="not here", what="")
            return
        task = cell["where"].removeprefix("tasks.").removesuffix(".score") if cell["where"].startswith("tasks.") else ""
        arm = score.parent.parent.name
        try:
            rows = self._answers_of(path)
            # facts of a caption are of all kinds, and its task is to caption
            chosen = [number for number, row in rows if not task or row["task"] == task] or [n for n, _ in rows]
            said = dict(rows)
            text = tuple(_said(said[number], arm, seed) for number in chosen[:SHOWN])
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # edited by hand
            if state == "changed":
                yield Lines(path=path.as_posix(), state=state, what="")
                return
            raise PargoError(f"{path}: {error}") from None
        what = f"answers of {arm}, seed {seed}" + (f", task {task}" if task else "")
        yield Lines(path=path.as_posix(), state=state, what=what, numbers=_runs(chosen), text=text)

    def _read_answers(self, path: Path) -> list[tuple[int, dict[str, Any]]]:
        return [(number, json.loads(line)) for number, line in enumerate(path.read_bytes().splitlines(), start=1)]

    def _made_of(self, name: str) -> Made:
        node, directory = self.records["artifacts"][name], Path(name.removesuffix(SUFFIX))
        state = self._state(name, node["sha256"])
        if state == "as recorded":
            state = AWAY if not directory.is_dir() else "changed" if differing(directory) else "as recorded"
        try:
            run = read_json(directory / RUN_RECORD)
        except PargoError:
            run = {}
        return Made(
            manifest=manifest_path(directory).as_posix(),
            state=state,
            sha256=node["sha256"],
            code=node["code"],
            settings=node["settings"],
            hardware=node["hardware"] or "",
            commit=run.get("commit") or "",
            started=run.get("started") or "",
        )


def _recorded(path: Path) -> str:
    """The hash of a file of the report in the record beside its folder; empty where there is none."""
    try:
        return read_json(record_path(path.parent))["files"][path.name]["sha256"]
    except (PargoError, KeyError, TypeError):
        return ""


def _said(row: dict[str, Any], arm: str, seed: int) -> str:
    text, mark = row["answers"].get(arm, {}).get(str(seed), ("", None))
    return f"{row['id']}: {row['question'] or 'caption'} | right: {row['label']} | said: {text} | mark: {mark}"


def _runs(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][-1] = number
        else:
            runs.append([number, number])
    return tuple((first, last) for first, last in runs)


def render(trace: Trace) -> str:
    """A trace for a terminal."""
    lines = [f"{trace.number}: {trace.text} {trace.interval}".rstrip(), f"  status: {trace.status}"]
    lines += [f"  value: {trace.value!r}"] if trace.value is not None else []
    lines += [f"  how: {trace.formula}"] if trace.formula else []
    lines += [f"  note: {trace.note}"] if trace.note else []
    lines += [f"  images: {trace.images:,}"] if trace.images else []
    lines += [f"  seed {seed}: {value!r}" for seed, value in trace.seeds.items() if value is not None]
    for title, parts in (("Read from", trace.files), ("Answers", trace.answers)):
        lines += [f"{title}:"] if parts else []
        for part in parts:
            where = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in part.numbers[:SHOWN])
            more = ", ..." if len(part.numbers) > SHOWN else ""
            lines.append(f"  {part.path}:{where}{more} [{part.state}]" + (f" {part.what}" if part.what else ""))
            lines += [f"    {text.strip()[:160]}" for text in part.text[:3]]
    lines += ["Made from:"] if trace.artifacts else []
    for made in trace.artifacts:
        lines.append(
            f"  {made.manifest} [{made.state}] sha256 {made.sha256[:12]}, code {made.code[:12]}, {made.hardware}"
        )
        if made.commit:
            lines.append(f"    {made.started}, commit {made.commit}")
    lines.append(f"Again: {trace.again}")
    if any(made.state == AWAY for made in trace.artifacts):
        lines.append("Contents that are not here: `pargo versions restore` brings them where a DVC remote has them.")
    return "\n".join([*lines, *(f"NOT AS IT WAS: {problem}" for problem in trace.problems)]) + "\n"
