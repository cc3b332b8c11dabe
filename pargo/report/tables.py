"""Tables: the projectors side by side, what they cost, the paper's claims, each benchmark by task, and LaTeX macros."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pargo.files import new_files, sha256_file, write_atomic
from pargo.layout import Layout
from pargo.report.arm_tables import ablations_table, captions_table, cost_table, projectors_table
from pargo.report.by_task import by_task_table
from pargo.report.cells import Cell, Table
from pargo.report.claims import Judged, claims_table, judged
from pargo.report.latex import to_latex, to_macros
from pargo.report.provenance import Chain, Follower
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.training_file import read_training
from pargo.report.writers import to_csv, to_markdown

WEIGHTS = "model.safetensors"


def run(settings: ReportSettings, scores: Iterable[Path], training: Path, output: Path) -> None:
    """Write the files `pargo.report.settings.table_files` into a directory; others in it stay.

    Args:
        scores: score files of all arms, seeds and benchmarks, `.../scores/<arm>/seed-<n>/<benchmark>.json`. Runs in the
            project root, to which the paths in score files and manifests are relative.
        training: file of the stage `report_training`.
        output: directory of the tables, e.g. `reports/quick/tables`.

    `cells.json` holds every number of the tables with its provenance (see `records`); the page is made from it.

    Raises:
        PargoError: a score is missing, one of the files behind it is missing or has changed since, or `training` tells
            of other models than those that were scored.
    """
    loaded, follower = Scores(settings, scores), Follower()
    chains = {score.path.as_posix(): follower.follow(score.path) for score in loaded}
    models = [chains[score.path.as_posix()].model(WEIGHTS, score.seed) for score in loaded]
    trained = read_training(training, {model.manifest: model.sha256 for model in models})
    tables = [
        projectors_table(settings, loaded, trained),
        cost_table(settings, trained),
        ablations_table(settings, loaded, trained),
        captions_table(settings, loaded, trained),
        claims := claims_table(settings, loaded, trained),
        *(by_task_table(settings, loaded, name) for name in settings.benchmarks),
    ]
    with new_files(output) as directory:
        for table in tables:
            latex = to_latex(table, settings.report.latex_width)
            for extension, text in (("csv", to_csv(table)), ("md", to_markdown(table)), ("tex", latex)):
                write_atomic(directory / f"{table.name}.{extension}", text)
        write_atomic(directory / "numbers.tex", to_macros(_macros(tables), _macro_comment(settings)))
        found = records(settings, tables, judged(settings, claims), chains)
        text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(directory / "cells.json", text + "\n")


def _macros(tables: list[Table]) -> dict[tuple[str, ...], Cell]:
    """Every number under a name made of its status, row and column, e.g. `measuredPargoMiniMmeTotal`.

    A number that stands in two tables has the name of the first.
    """
    cells: dict[tuple[str, ...], Cell] = {}
    for table in tables:
        for row in table.rows:
            for column, cell in row.cells.items():
                if cell.value is not None:
                    key = (cell.status, row.key, column)
                    if key in cells and cells[key] == cell:
                        continue
                    name = (cell.status, table.name, row.key, column) if key in cells else key
                    cells[name] = cell
    return cells


def _macro_comment(settings: ReportSettings) -> str:
    return (
        f"Numbers of config {settings.config} ({settings.report.scale}). The first word of a name is its status; "
        "accuracies are in per cent."
    )


def cell_id(table: str, row: str, column: str) -> str:
    return f"{table}/{row}/{column}"


def records(
    settings: ReportSettings, tables: list[Table], claims: dict[str, Judged], chains: dict[str, Chain]
) -> dict[str, Any]:
    """All that the tables show, and where it came from.

    `tables`: words and the ids of the cells; `claims`: each with what it predicts and its verdict; `cells`: by id, the
    value, n, interval, seeds, status and result files; `files`: by path, the sha256 of a result file with the hashes of
    the settings and code and the hardware of the artifact it describes, and the manifests behind it, nearest first;
    `artifacts`: by manifest, the same for each.
    """
    nodes = {node.manifest: node for chain in chains.values() for node in chain.nodes}
    models = [name for name in nodes if Layout.of_model(nodes[name].directory)]
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
        "claims": {
            key: {
                "claim": of.claim.text,
                "predicts": of.predicts,
                "verdict": of.verdict,
                "in_abstract": of.claim.in_abstract,
            }
            for key, of in claims.items()
        },
        "cells": cells,
        "files": {file: _file(file, chains, models) for file in used},
        "artifacts": {name: asdict(nodes[name]) for name in sorted(nodes)},
    }


def _layout(table: Table) -> dict[str, Any]:
    rows = [
        {
            "key": row.key,
            "kind": row.kind,
            "texts": row.texts,
            "block_title": table.block_title(row),
            "one_seed": row.one_seed,
            "needs_no_image": row.needs_no_image,
            "cells": {column: cell_id(table.name, row.key, column) for column in row.cells},
        }
        for row in table.rows
    ]
    return asdict(table) | {"rows": rows}


def _file(file: str, chains: dict[str, Chain], models: list[str]) -> dict[str, Any]:
    """A score file, or `training.json`, which is of all models."""
    found: dict[str, Any] = {"sha256": sha256_file(Path(file))}
    if file in chains:
        nearest = chains[file].nodes[0]
        found |= {"settings": nearest.settings, "code": nearest.code, "hardware": nearest.hardware}
    return found | {"chain": [node.manifest for node in chains[file].nodes] if file in chains else sorted(models)}
