"""Tables: the projectors side by side, the paper's claims beside ours, benchmarks by task, and LaTeX macros."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pargo.files import new_files, sha256_file, write_atomic
from pargo.report import words
from pargo.report.by_task import by_task_table
from pargo.report.cells import Cell, Column, Row, Table
from pargo.report.claims import claims_table
from pargo.report.cost import projector_cost
from pargo.report.measure import (
    baselines,
    headline,
    headline_column,
    headline_title,
    task_score,
)
from pargo.report.notes import notes, seed_note
from pargo.report.provenance import Chain, follow
from pargo.report.scores import Score, Scores
from pargo.report.settings import ReportSettings, tables_by_task
from pargo.report.writers import to_csv, to_latex, to_macros, to_markdown

WEIGHTS = "model.safetensors"


def run(settings: ReportSettings, scores: Iterable[Path], output: Path) -> None:
    """Write the files `pargo.report.settings.table_files` into a directory; others in it stay.

    Args:
        scores: score files of all arms, seeds and benchmarks, `.../scores/<arm>/seed-<n>/<benchmark>.json`. Costs of
            the projectors are read from the models behind them. Runs in the project root, to which the paths in score
            files and manifests are relative.
        output: directory of the tables, e.g. `reports/quick/tables`.

    `cells.json` holds every number of the tables with its provenance (see `records`); the page is made from it.

    Raises:
        PargoError: a score is missing, or one of the files behind it is missing or has changed since.
    """
    loaded = Scores(settings, scores)
    chains = {score.path.as_posix(): follow(score.path) for score in loaded}
    tables = [projectors_table(settings, loaded, chains), claims_table(settings, loaded)]
    tables += [by_task_table(settings, loaded, name) for name in tables_by_task(settings.benchmarks)]
    with new_files(output) as directory:
        for table in tables:
            for extension, text in (("csv", to_csv(table)), ("md", to_markdown(table)), ("tex", to_latex(table))):
                write_atomic(directory / f"{table.name}.{extension}", text)
        write_atomic(directory / "numbers.tex", to_macros(_macros(tables), _macro_comment(settings)))
        text = json.dumps(records(settings, tables, chains), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(directory / "cells.json", text + "\n")


# Projectors -----------------------------------------------------------------------------------------------------------


def projectors_table(settings: ReportSettings, scores: Scores, chains: dict[str, Chain]) -> Table:
    """One row per arm: its projector, what it costs, what it scores; below, what needs no image at all."""
    names = words.projectors(settings)
    rows = []
    for arm in settings.projectors:
        cells = _cost_cells(settings, arm, scores, chains) | _score_cells(settings, arm, scores)
        rows.append(Row(arm, "arm", {"projector": names[arm]}, cells))
    return Table(
        name="projectors",
        caption=(
            f"Projectors of config {settings.config} ({settings.report.scale}): cost, and scores with 95 % intervals."
        ),
        heads={"projector": "Projector"},
        columns=tuple(_columns(settings, scores)),
        rows=(*rows, *_baseline_rows(settings, scores)),
        notes=(*notes(settings, scores, settings.benchmarks), seed_note(settings)),
    )


def _columns(settings: ReportSettings, scores: Scores) -> Iterable[Column]:
    yield Column("tokens", "Image tokens", "Cost", "Image tokens")
    yield Column("parameters", "Trained projector parameters", "Cost", "Parameters")
    yield Column("flops", "FLOPs per image", "Cost", "FLOPs per image")
    for benchmark in settings.benchmarks:
        name, example = words.benchmark(settings, benchmark), _example(settings, scores, benchmark)
        if points := example.record.points_per_task:
            group, most = f"{name} (0-{points:g} a task)", example.record.headline.maximum
            for task in example.record.tasks:
                yield Column(f"{benchmark}.{task}", f"{name} {words.task(task)}", group, words.task(task))
            yield Column(f"{benchmark}.total", f"{name} total (of {most})", group, f"Total (of {most})")
        else:
            title = headline_title(example)
            key = f"{benchmark}.{headline_column(example)}"
            yield Column(key, f"{name} {title[:1].lower()}{title[1:]}", name, title)
    yield Column("unparseable", "Answers that could not be parsed", "", "No valid answer")


def _example(settings: ReportSettings, scores: Scores, benchmark: str) -> Score:
    """A score of the benchmark, for what is the same in all of them: tasks, images, baselines."""
    return scores[next(iter(settings.projectors)), benchmark][0]


def _cost_cells(settings: ReportSettings, arm: str, scores: Scores, chains: dict[str, Chain]) -> dict[str, Cell]:
    benchmark = next(iter(settings.benchmarks))
    nodes = [chains[score.path.as_posix()].model(WEIGHTS, score.seed) for score in scores[arm, benchmark]]
    cost = projector_cost(settings.projectors[arm], settings.vision, nodes[0].directory / WEIGHTS)
    files = tuple(node.manifest for node in nodes)
    return {
        "tokens": Cell(cost.tokens, "count", "computed", files=files),
        "parameters": Cell(cost.parameters, "parameters", "measured", files=files, digits=2),
        "flops": Cell(cost.flops, "flops", "computed", files=files, digits=2),
    }


def _score_cells(settings: ReportSettings, arm: str, scores: Scores) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    files: tuple[str, ...] = ()
    lost, samples = 0, settings.report.bootstrap_samples
    for benchmark in settings.benchmarks:
        group = scores[arm, benchmark]
        if group[0].record.points_per_task is not None:
            cells |= {f"{benchmark}.{task}": task_score(group, task, samples) for task in group[0].record.tasks}
        cells[f"{benchmark}.{headline_column(group[0])}"] = headline(group, samples)
        lost += sum(score.record.unparseable for score in group)
        files += tuple(score.path.as_posix() for score in group)
    return cells | {"unparseable": Cell(lost, "count", "measured", seeds=settings.seeds, files=files)}


def _baseline_rows(settings: ReportSettings, scores: Scores) -> list[Row]:
    rows: dict[str, dict[str, Cell]] = {}
    for benchmark in settings.benchmarks:
        for name, cells in baselines(_example(settings, scores, benchmark)).items():
            rows.setdefault(name, {}).update({f"{benchmark}.{key}": cell for key, cell in cells.items()})
    return [Row(name, "baseline", {"projector": words.in_words(name)}, cells) for name, cells in rows.items()]


# Files ----------------------------------------------------------------------------------------------------------------


def _macros(tables: list[Table]) -> dict[tuple[str, ...], Cell]:
    """Every number under a name made of its status, row and column, e.g. `measuredPargoMiniMmeTotal`.

    A table with one column does not need it in the name.
    """
    return {
        (cell.status, row.key, column) if len(table.columns) > 1 else (cell.status, row.key): cell
        for table in tables
        for row in table.rows
        for column, cell in row.cells.items()
        if cell.value is not None
    }


def _macro_comment(settings: ReportSettings) -> str:
    return (
        f"Numbers of config {settings.config} ({settings.report.scale}). The first word of a name is its status; "
        "accuracies are in per cent."
    )


def cell_id(table: str, row: str, column: str) -> str:
    return f"{table}/{row}/{column}"


def records(settings: ReportSettings, tables: list[Table], chains: dict[str, Chain]) -> dict[str, Any]:
    """All that the tables show, and where it came from.

    `tables`: words and the ids of the cells; `cells`: by id, the value, n, interval, seeds, status and result files;
    `files`: by path, the sha256 of a result file with the hashes of the settings and code and the hardware of the
    artifact it describes, and the manifests behind it, nearest first; `artifacts`: by manifest, the same for each.
    """
    nodes = {node.manifest: node for chain in chains.values() for node in chain.nodes}
    cells = {
        cell_id(table.name, row.key, column): asdict(cell) | {"text": cell.text, "interval_text": cell.interval_text}
        for table in tables
        for row in table.rows
        for column, cell in row.cells.items()
    }
    used = dict.fromkeys(file for cell in cells.values() for file in cell["files"])
    return {
        "config": settings.config,
        "scale": settings.report.scale,
        "tables": {table.name: _layout(table) for table in tables},
        "cells": cells,
        "files": {file: _file(file, chains, nodes) for file in used},
        "artifacts": {name: asdict(nodes[name]) for name in sorted(nodes)},
    }


def _layout(table: Table) -> dict[str, Any]:
    rows = [
        {
            "key": row.key,
            "kind": row.kind,
            "texts": row.texts,
            "cells": {column: cell_id(table.name, row.key, column) for column in row.cells},
        }
        for row in table.rows
    ]
    layout = asdict(table) | {"rows": rows}
    return layout


def _file(file: str, chains: dict[str, Chain], nodes: dict[str, Any]) -> dict[str, Any]:
    if file in chains:
        chain = chains[file]
        nearest = chain.nodes[0]
        manifests = [node.manifest for node in chain.nodes]
    else:
        nearest = nodes[file]
        manifests = _behind(file, nodes)
    return {
        "sha256": sha256_file(Path(file)),
        "settings": nearest.settings,
        "code": nearest.code,
        "hardware": nearest.hardware,
        "chain": manifests,
    }


def _behind(manifest: str, nodes: dict[str, Any]) -> list[str]:
    """A manifest and all manifests behind it, nearest first."""
    found = [manifest]
    for name in found:
        found += [child for child in nodes[name].inputs if child not in found]
    return found
