"""The page: one self-contained HTML file that a reader who knows nothing of the project understands in ten minutes.

Its numbers are those of `cells.json`, as in the tables; each links to the file it came from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pargo.accepted import FILE, read_accepted
from pargo.config.layers import language_in_words
from pargo.files import read_json, write_atomic
from pargo.report import words
from pargo.report.cells import STATUSES
from pargo.report.claims import headline_row
from pargo.report.measure import headline_column
from pargo.report.samples import file_uri, samples
from pargo.report.scores import Score, Scores
from pargo.report.settings import ReportSettings

TEMPLATE = "index.html.j2"


def run(settings: ReportSettings, scores: Iterable[Path], tables: Path, figures: Path, output: Path) -> None:
    """Write the page.

    Args:
        scores: score files of all arms, seeds and benchmarks; sample answers and images are found behind them, by
            their manifests, from the project root.
        tables: directory written by `pargo.report.tables`.
        figures: directory written by `pargo.report.figures`.
        output: the HTML file; links in it are relative to its place.

    Raises:
        PargoError: a score, table or artifact is missing or has changed since.
    """
    loaded, records = Scores(settings, scores), read_json(tables / "cells.json")
    environment = Environment(
        loader=PackageLoader("pargo.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def link(path: str | Path) -> str:
        return Path(os.path.relpath(path, output.parent)).as_posix()

    environment.filters |= {"link": link, "code": code_spans}
    environment.globals["groups"] = column_groups
    text = environment.get_template(TEMPLATE).render(
        settings=settings,
        records=records,
        statuses=STATUSES,
        verdict=verdict(settings, loaded, records),
        reading=reading(settings, loaded),
        by_task={
            name: f"{words.benchmark(settings, name)} by {chosen.by_task.task}"
            for name, chosen in settings.benchmarks.items()
            if chosen.by_task
        },
        figures={name: file_uri(figures / f"{name}.{settings.report.figure_format}") for name in FIGURE_ALT},
        alt=FIGURE_ALT,
        samples=samples(settings, loaded),
        accepted=read_accepted(output.parent / FILE),
        facts=facts(settings, records),
        tables=link(tables),
        projectors=words.projectors(settings),
    )
    write_atomic(output, text.rstrip() + "\n")


FIGURE_ALT = {
    "tasks": "Scores of all arms by task, with intervals; the numbers are those of the table above",
    "attention": "Attention of partial and global tokens drawn over a few benchmark images",
    "loss": "Training loss of all arms in pretraining and fine-tuning",
}


def code_spans(text: str) -> Markup:
    """Text as HTML, with what stands in `backticks` as code."""
    parts = escape(text).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def column_groups(columns: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Headings above neighbouring columns, and how many columns each spans."""
    return [(group, len(list(members))) for group, members in groupby(column["group"] for column in columns)]


def verdict(settings: ReportSettings, scores: Scores, records: dict[str, Any]) -> list[str]:
    """The result in one sentence for each benchmark: the difference, and what may be said of it."""
    ours, reference = settings.report.headline_arm, settings.report.reference_arm
    names, sentences = words.projectors(settings), []
    verdicts = {row["key"]: row["texts"]["verdict"] for row in records["tables"]["claims"]["rows"]}
    for benchmark in settings.benchmarks:
        score = scores[ours, benchmark][0]
        name = words.benchmark(settings, benchmark)
        column = headline_column(score)
        first, second = (records["cells"][f"projectors/{arm}/{benchmark}.{column}"] for arm in (ours, reference))
        gain = records["cells"][f"claims/{headline_row(ours, reference, benchmark)}/difference"]
        if gain["interval"] is None:
            waiting = [names[arm] for arm, cell in ((ours, first), (reference, second)) if cell["value"] is None]
            which = "the answers" if len(waiting) == 2 else f"the answers of {waiting[0]}"
            sentences.append(f"{name}: not graded, since no judge has read {which}.")
            continue
        line = score.record.headline
        unit = f"% ({line.name})" if score.record.points_per_task is None else f"of {line.maximum:,} points"
        low, high = gain["interval"]
        if len(settings.seeds) > 1:
            meaning = f". Verdict: {verdicts[headline_row(ours, reference, benchmark)]}"
        elif low > 0 or high < 0:
            better = names[ours] if low > 0 else names[reference]
            meaning = f", and for these trained models the interval excludes zero, in favour of {better}"
        else:
            meaning = ", and the interval includes zero, so this does not show which is better"
        sentences.append(
            f"{name}: {names[ours]} {first['text']} and {names[reference]} "
            f"{second['text']} {unit}; the difference is {gain['text']} {gain['interval_text']}{meaning}. "
            + _beside_blind(settings, score, records, f"{benchmark}.{column}")
        )
    return sentences


def _beside_blind(settings: ReportSettings, score: Score, records: dict[str, Any], column: str) -> str:
    """Which projectors are not shown to beat the best score that needs no image."""
    if not score.record.baselines:
        return ""
    name, baseline = max(score.record.baselines.items(), key=lambda item: item[1].value)
    best = baseline.value
    shown = f"{100 * best:.1f} %" if score.record.points_per_task is None else f"{best:.1f}"
    names = words.projectors(settings)
    cells = {names[arm]: records["cells"][f"projectors/{arm}/{column}"] for arm in settings.projectors}
    unseen = [
        f"{arm} {cell['text']} {cell['interval_text']}".strip()
        for arm, cell in cells.items()
        if cell["interval"] is not None and cell["interval"][0] <= best
    ]
    waiting = [arm for arm, cell in cells.items() if cell["interval"] is None]
    blind = f"the best score that needs no image ({words.in_words(name).lower()}, {shown})"
    which = "All graded projectors" if waiting else "All projectors"
    sentence = f"Not shown to beat {blind}: {', '.join(unseen)}." if unseen else f"{which} beat {blind}."
    return sentence + (f" Not graded: {', '.join(waiting)}." if waiting else "")


def reading(settings: ReportSettings, scores: Scores) -> list[str]:
    """How to read the page, in a few sentences."""
    arm = settings.report.headline_arm
    patches = settings.vision.num_patches
    sentences = [
        f"A projector turns the {patches} patch features of an image into a few tokens that a language model reads; "
        f"the first {len(settings.projectors)} rows of the first table are one projector each, and image encoder and "
        "language model are the same in all.",
    ]
    for benchmark in settings.benchmarks:
        record = scores[arm, benchmark][0].record
        name = words.benchmark(settings, benchmark)
        if points := record.points_per_task:
            values = " and ".join(
                f"{words.in_words(key).lower()} {entry.value:.0f}" for key, entry in record.baselines.items()
            )
            sentences.append(
                f"{name} asks two questions about each image, one with the answer yes and one with no; a task gives "
                f"100 x (share of right answers + share of images with both right), so at most {points:g}, and without "
                f"looking at the image the total of {record.headline.maximum:,} would be: {values}."
            )
    sentences += [
        _brackets(settings),
        "The paper's number is of another benchmark, a 7B language model and other data, and ours is "
        f"{settings.report.scale}: neither sign nor size here confirms or refutes the paper.",
        "Every measured number is a link to the file it was read from, and the last section leads from there to the "
        "answers, the model and the data.",
    ]
    return sentences


def _brackets(settings: ReportSettings) -> str:
    if len(settings.seeds) == 1:
        return (
            "Brackets are 95 % intervals from drawing the images anew: where the interval of a difference excludes "
            "zero, these trained models differ on such images, and with one training seed nobody knows how much "
            "another training would differ."
        )
    return (
        "Brackets of means and differences are 95 % intervals for what the mean of very many trainings"
        f"{_shared(settings)}, on very many such images, would be; those of single seeds are over images alone. "
        "Verdicts are stricter: they are corrected for the number of comparisons."
    )


def _shared(settings: ReportSettings) -> str:
    return " from the same warmed-up language model" if settings.language.warm_up else ""


def facts(settings: ReportSettings, records: dict[str, Any]) -> dict[str, str]:
    """Settings and machine, in words."""
    hardware = sorted({node["hardware"] for node in records["artifacts"].values() if node["hardware"]})
    vision = settings.vision
    facts = {
        "Config": settings.config,
        "Training seeds": ", ".join(map(str, settings.seeds)),
        "Hardware": "; ".join(hardware) or "not recorded in the artifacts at hand",
        "Image encoder (frozen)": (
            f"{vision.architecture} from {vision.source}, {vision.image_size} pixels, {vision.num_patches} patches of "
            f"{vision.feature_size} channels"
        ),
        "Language model": f"{language_in_words(settings.language)}, precision {settings.language.precision}",
        "Bootstrap": f"{settings.report.bootstrap_samples:,} draws of images",
    }
    for arm, name in words.projectors(settings).items():
        fields = settings.projectors[arm].model_dump(exclude={"name"})
        facts[f"Projector {name}"] = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in fields.items())
    for benchmark, chosen in settings.benchmarks.items():
        fields = chosen.model_dump(exclude={"kind"}, exclude_none=True)
        name = f"Benchmark {words.benchmark(settings, benchmark)}"
        facts[name] = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in fields.items())
    return facts
