"""The model card (README.md) of an exported model: what it is, its numbers, and the files that these came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from pargo.benchmarks.scores.score_file import read_score
from pargo.config.layers import language_in_words
from pargo.export.settings import ORIGIN, ModelSettings
from pargo.fetch.table import known_downloads
from pargo.files import read_json, sha256_file
from pargo.layout import Layout, ModelPlace, manifest_path
from pargo.machine import git_commit, versions
from pargo.manifest import RUN_RECORD, read_provenance
from pargo.report.provenance import follow
from pargo.report.words import benchmark_title, in_words, task

NOT_GRADED = "not graded"


class Agreement(NamedTuple):
    """How many of the run's own questions the exported copy answers as the run did."""

    equal: int
    asked: int


@dataclass(frozen=True)
class Row:
    """One number of the card; `file` leads to it, `sha256` is that file's.

    Where answers wait for a judge, `value` is `not graded` and `interval` is empty.
    """

    benchmark: str
    measure: str
    value: str
    interval: str
    images: int
    file: str
    sha256: str


def rows_of(model: Path) -> list[Row]:
    """The numbers of a model directory: of all its score files, which must still lead back to its weights.

    Raises:
        PargoError: a file behind a score is missing or has changed since, or a score file is no whole one.
    """
    place = Layout.of_model(model)
    if place is None:
        return []
    layout, arm, seed = place
    weights = sha256_file(manifest_path(model))
    return [
        row
        for path in sorted(layout.score(arm, seed, "any").parent.glob("*.json"))
        # scores of another training of this arm say nothing about these weights
        if any(node.sha256 == weights for node in follow(path).nodes)
        for row in _rows(path)
    ]


def _rows(path: Path) -> Iterator[Row]:
    record, file, sha256 = read_score(path).record, path.as_posix(), sha256_file(path)
    name = benchmark_title(record.benchmark)
    if path.stem != record.benchmark:  # one of several of its kind
        name = f"{name} ({in_words(path.stem)})"
    if not record.is_graded:
        yield Row(name, record.headline.name, NOT_GRADED, "", record.num_images(None), file, sha256)
        return
    for key in (None, *record.tasks):
        measure = record.headline.name if key is None else task(key)
        value, interval = record.line(key)
        text = [
            f"{100 * number:.1f} %" if record.headline.maximum == 1 else f"{number:.1f}"
            for number in (value, *(interval or ()))
            if number is not None
        ]
        yield Row(name, measure, text[0], f"[{text[1]}, {text[2]}]", record.num_images(key), file, sha256)


def write_card(
    output: Path,
    model: Path,
    settings: ModelSettings,
    *,
    rows: Sequence[Row],
    agreement: Agreement | None,
    tokens: int,
    dtype: str,
    sources: Sequence[Path],
) -> None:
    """Write `README.md`, with the metadata that hubs read, and `provenance.json` into an exported directory.

    Args:
        output: the directory.
        model: the model directory that was exported.
        settings: of it.
        rows: its numbers.
        agreement: None if the copy's answers were not compared.
        tokens: of an image.
        dtype: of the language model.
        sources: directories of language model and vision tower.
    """
    hashes = _hashes([model, *sources]) | {row.file: row.sha256 for row in rows}
    if (model / ORIGIN).is_file():
        origin = read_json(model / ORIGIN)
        hashes[origin["file"]] = origin["sha256"]
    place = Layout.of_model(model)
    run = None if place is None else {"config": place.layout.config, "arm": place.arm, "seed": place.seed}
    record = model / RUN_RECORD
    commit = read_json(record).get("commit") if record.is_file() else None
    words = settings.projector.in_words()
    language = language_in_words(settings.language)
    title = f"{words}, {settings.vision.architecture}, {language}"
    template = Environment(  # noqa: S701 - Markdown of our own files, no page
        loader=PackageLoader("pargo.export"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    ).get_template("README.md.j2")
    body = template.render(
        title=title,
        projector=words,
        vision=settings.vision,
        language=language,
        tokens=tokens,
        run=run,
        scale=_scale(place),
        example="Is there a circle?" if settings.template == "compact" else "What is in the image?",
        rows=rows,
        agreement=agreement,
        dtype=dtype,
        files=hashes,
        commit=commit,
        hardware=read_provenance(model)["hardware"] if manifest_path(model).is_file() else None,
        limits=_limits(rows),
    )
    results = _eval_results(rows)
    metadata = ModelCardData(
        license=_licence(settings),
        library_name="transformers",
        pipeline_tag="image-text-to-text",
        tags=["pargo", settings.projector.name, "vision-language"],
        model_name=title if results else None,
        eval_results=results or None,
    )
    (output / "README.md").write_text(f"---\n{metadata.to_yaml()}\n---\n{body}", encoding="utf-8")
    provenance = {
        "model": model.as_posix(),
        "files": hashes,
        "commit": {"training": commit, "export": git_commit()},
        "versions": versions(),
        "numbers": [asdict(row) for row in rows],
        "agreement": None if agreement is None else agreement._asdict(),
    }
    (output / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")


def _hashes(directories: Sequence[Path]) -> dict[str, str]:
    """SHA-256 by path of the manifests of directories, or where a directory has none, of its files."""
    found: dict[str, str] = {}
    for directory in directories:
        manifest = manifest_path(directory)
        files = [manifest] if manifest.is_file() else sorted(path for path in directory.rglob("*") if path.is_file())
        found |= {path.as_posix(): sha256_file(path) for path in files}
    return found


def _scale(place: ModelPlace | None) -> str | None:
    """What the config says about its scale, from the recorded cells of its report."""
    if place is None:
        return None
    path = place.layout.tables / "cells.json"
    return read_json(path).get("scale") if path.is_file() else None


def _limits(rows: Sequence[Row]) -> str:
    names = sorted({row.benchmark for row in rows if row.value != NOT_GRADED})
    return f"What it can do beyond {' and '.join(names)} was not measured." if names else "Nothing was measured."


def _licence(settings: ModelSettings) -> str:
    """The licence of both parts where it is the same and known, else `other`."""
    rows = [known_downloads().get(source) for source in (settings.vision.source, settings.language.source)]
    known = {row.licence.lower() if row else "" for row in rows}
    return (known.pop() if len(known) == 1 else "") or "other"


def _eval_results(rows: Sequence[Row]) -> list[EvalResult]:
    """The graded headlines, in the form hubs read."""
    firsts = {row.benchmark: row for row in reversed(rows) if row.value != NOT_GRADED}
    return [
        EvalResult(
            task_type="image-text-to-text",
            dataset_type=name.lower(),
            dataset_name=name,
            metric_type="accuracy" if row.value.endswith("%") else "score",
            metric_name=row.measure,
            metric_value=float(row.value.removesuffix(" %")),
        )
        for name, row in sorted(firsts.items())
    ]
