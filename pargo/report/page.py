"""The page: one self-contained HTML file that a reader who knows nothing of the project understands in ten minutes.

Its numbers are those of `cells.json`, as in the tables; each links to the file it came from.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pargo.accepted import FILE, read_accepted
from pargo.config.layers import language_in_words
from pargo.data.images import open_images
from pargo.files import read_json, write_atomic
from pargo.report import words
from pargo.report.answers_file import read_answers
from pargo.report.arms import learning_groups
from pargo.report.attention_files import AttentionMaps
from pargo.report.cells import STATUSES, rounded
from pargo.report.claims import beside_the_paper, headline_row
from pargo.report.measure import headline_column
from pargo.report.provenance import follow
from pargo.report.samples import Sample, data_uri, file_uri, samples, searchable
from pargo.report.scores import Score, Scores
from pargo.report.settings import FIGURES, ReportSettings
from pargo.report.training_file import STAGES, Training, read_training

TEMPLATE = "index.html.j2"
FIGURE_ALT = {
    "scores": "Scores of all arms on each benchmark, with intervals; the numbers are those of the table above",
    "differences": "The headline arm minus each other arm on each benchmark; the numbers are those of the claims",
    "cost": "Scores of all arms over their operations and parameters; the numbers are those of the tables",
    "loss": "Training loss of all arms in pretraining and fine-tuning",
    "learning": "Scores over the images trained on; the numbers are those of the tables",
    "attention": "Attention of partial and global tokens drawn over a few benchmark images",
    "coverage": "How evenly the tokens of each arm look at the images, as boxes",
}
TABLE_TITLES = {
    "projectors": "Projectors: what they score",
    "claims": "The paper's claims beside ours",
    "cost": "What the projectors cost",
    "ablations": "Variants of the headline projector",
    "captions": "What captions change",
}


def run(
    settings: ReportSettings,
    scores: Iterable[Path],
    training: Path,
    answers: Path,
    tables: Path,
    figures: Path,
    output: Path,
    attention: Sequence[Path] = (),
) -> None:
    """Write the page.

    Args:
        scores: score files of all arms, seeds and benchmarks; images are found behind them, by their manifests, from
            the project root.
        training: file of the stage `report_training`.
        answers: directory written by `pargo.report.answers`.
        tables: directory written by `pargo.report.tables`.
        figures: directory written by `pargo.report.figures`.
        output: the HTML file; links in it are relative to its place.
        attention: directories of the stage `attention`, the headline arm's first.

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

    examples: list[Sample] = []
    search = {}
    for benchmark, chosen in settings.benchmarks.items():
        rows = read_answers(answers / f"{benchmark}.jsonl")
        source = follow(loaded[settings.report.headline_arm, benchmark][0].path).source()
        images = open_images(source.directory, chosen.split)
        examples += samples(settings, benchmark, rows, images)
        search[benchmark] = searchable(settings, benchmark, rows, images)
    environment.filters |= {"link": link, "code": code_spans}
    environment.globals["groups"] = column_groups
    environment.globals["blocks"] = row_blocks
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    trained = read_training(training)
    text = environment.get_template(TEMPLATE).render(
        settings=settings,
        records=records,
        statuses=STATUSES,
        verdict=verdict(settings, loaded, records),
        reading=reading(settings, loaded),
        limits=[beside_the_paper(settings), *settings.report.limits],
        titles=TABLE_TITLES
        | {
            name: f"{words.benchmark(settings, name)} by {chosen.by_task.task}"
            for name, chosen in settings.benchmarks.items()
        },
        shown=shown_tables(settings, records),
        figures={
            name: file_uri(figures / f"{name}.{settings.report.figure_format}")
            for name in (*FIGURES, *(f"{benchmark}-tasks" for benchmark in settings.benchmarks))
        },
        alt=FIGURE_ALT,
        samples=examples,
        search={
            "arms": list(words.projectors(settings).values()),
            "seeds": settings.seeds,
            "benchmarks": search,
        },
        cells={key: _origin(cell, records) for key, cell in records["cells"].items()},
        files=[{"path": file, "link": link(file)} for file in records["files"]],
        maps=attention_maps(settings, attention),
        accepted=read_accepted(output.parent / FILE),
        facts=facts(settings, records),
        curves=learning_groups(settings, trained),
        trainings=training_facts(settings, trained),
        aligned={
            of["alignment"]["num_samples"]
            for arm in trained.settings.values()
            if (of := arm["pretrain"]).get("alignment")
        },
        tables=link(tables),
        answers=link(answers),
        training=link(training),
        projectors=words.projectors(settings),
    )
    write_atomic(output, text.rstrip() + "\n")


def _origin(cell: dict[str, Any], records: dict[str, Any]) -> dict[str, Any]:
    """What the page says of a number when it is asked: empty fields are left out."""
    places = {file: place for place, file in enumerate(records["files"])}
    found = {
        "status": cell["status"],
        "images": cell["n"],
        "seeds": cell["seeds"],
        "values": [round(value, 6) for value in cell["seed_values"]],
        "where": cell["where"],
        "formula": cell["formula"],
        "note": cell["note"],
        "files": [places[file] for file in cell["files"]],
    }
    return {key: value for key, value in found.items() if value}


def shown_tables(settings: ReportSettings, records: dict[str, Any]) -> list[str]:
    """The tables below the first one and the claims: of variants and captions only where there are some."""
    several = [name for name in ("ablations", "captions") if len(records["tables"][name]["rows"]) > 1]
    return [*settings.benchmarks, *several, "cost"]


def attention_maps(settings: ReportSettings, attention: Sequence[Path]) -> dict[str, Any] | None:
    """Maps of the first arm with partial tokens, for the page's slider; None where there is none.

    `maps`: base64 of bytes [images, tokens, patches], 255 for `most` times an even share over the patches that a token
    sees, or more.
    """
    for path in attention:
        found = AttentionMaps.read(path)
        if not found.num_partial:
            continue
        visible = (found.maps > 0).any(0).sum(1)  # [tokens]
        even = found.maps * visible[None, :, None]
        most = max(2.0, float(np.quantile(even[even > 0], 0.99)))
        data = (np.minimum(even / most, 1) * 255).round().astype("uint8").tobytes()
        return {
            "arm": words.projectors(settings)[path.parent.name],
            "images": [data_uri(image) for image in found.images],
            "names": list(found.names),
            "partial": found.num_partial,
            "global": found.num_global,
            "patches": found.maps.shape[2],
            "most": round(most, 2),
            "maps": base64.b64encode(data).decode(),
        }
    return None


def code_spans(text: str) -> Markup:
    """Text as HTML, with what stands in `backticks` as code."""
    parts = escape(text).split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


def column_groups(columns: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Headings above neighbouring columns, and how many columns each spans."""
    return [(group, len(list(members))) for group, members in groupby(column["group"] for column in columns)]


def row_blocks(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Neighbouring rows of one kind together."""
    return [list(members) for _, members in groupby(rows, lambda row: row["kind"])]


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
    shown = f"{rounded(best, 1, 100)} %" if score.record.points_per_task is None else f"{rounded(best, 1)}"
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
                f"{words.in_words(key).lower()} {rounded(entry.value, 0)}" for key, entry in record.baselines.items()
            )
            sentences.append(
                f"{name} asks two questions about each image, one with the answer yes and one with no; a task gives "
                f"100 x (share of right answers + share of images with both right), so at most {points:g}, and without "
                f"looking at the image the total of {record.headline.maximum:,} would be: {values}."
            )
        elif about := words.ABOUT.get(settings.benchmarks[benchmark].kind):
            sentences.append(f"{name}: {about}.")
    sentences += [
        _brackets(settings),
        "A click on a number says how it was made and which files it was read from, and the last section leads from "
        "there to the answers, the model and the data.",
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


def training_facts(settings: ReportSettings, training: Training) -> list[dict[str, str]]:
    """A row for each arm and stage: how it was trained, with which code, and when."""
    rows = []
    for arm, name in words.projectors(settings).items():
        for stage in STAGES:
            chosen, runs = training.settings[arm][stage], [training.run(arm, seed, stage) for seed in settings.seeds]
            aligned = f", after {of['num_samples']:,} of alignment" if (of := chosen.get("alignment")) else ""
            rows.append(
                {
                    "Projector": name,
                    "Stage": stage,
                    "Samples": f"{chosen['num_samples']:,}{aligned}",
                    "Batch": str(chosen["batch_size"]),
                    "Learning rate": f"{chosen['learning_rate']:g}, {chosen['schedule'].replace('_', ' ')}",
                    "LoRA": _lora(lora) if (lora := chosen.get("lora")) else "none",
                    "Mixture": ", ".join(f"{key} {weight:g}" for key, weight in sorted(chosen["mixture"].items())),
                    "Commit": _each(run.commit and run.commit[:10] + run.commit[40:] for run in runs),
                    "Date": _each(run.started and run.started[:10] for run in runs),
                }
            )
    return rows


def _lora(lora: Mapping[str, Any]) -> str:
    targets = lora["target_modules"]
    on = targets if isinstance(targets, str) else ", ".join(targets)
    return f"rank {lora['rank']}, alpha {lora['alpha']:g}, on {on}, learning rate {lora['learning_rate']:g}"


def _each(values: Iterable[str | None]) -> str:
    return ", ".join(dict.fromkeys(value or "not recorded" for value in values))
