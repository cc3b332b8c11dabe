"""Tables with a row for each arm: what it scores, what it costs, and what its variants and its captions change."""

from __future__ import annotations

from collections.abc import Iterable

from pargo.layout import Layout
from pargo.report import words
from pargo.report.arms import relations
from pargo.report.cells import Cell, Column, Row, Table, Unit
from pargo.report.measure import ALL, baselines, headline, headline_column, headline_title
from pargo.report.notes import notes, seed_note
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings
from pargo.report.training_file import STAGES, Training

HEADS = {"projector": "Projector"}
PUBLISHED_NOTE = (
    "Published numbers are of others' models, data and trainings; they stand beside ours and are compared with nothing."
)


def score_key(scores: Scores, benchmark: str) -> str:
    """Key of the column of a benchmark's headline, e.g. `mini_mme.total`."""
    return f"{benchmark}.{headline_column(scores.example(benchmark))}"


# Scores ---------------------------------------------------------------------------------------------------------------


def projectors_table(settings: ReportSettings, scores: Scores, training: Training) -> Table:
    """One row per arm: its tokens and what it scores; below, published numbers, and what needs no image at all."""
    names = words.projectors(settings)
    rows = [
        Row(
            arm,
            "arm",
            {"projector": names[arm]},
            _tokens(settings, training, arm) | _score_cells(settings, scores, arm),
        )
        for arm in settings.projectors
    ]
    return Table(
        name="projectors",
        caption=f"Projectors of config {settings.config} ({settings.report.scale}): scores with 95 % intervals.",
        heads=HEADS,
        columns=(
            Column("tokens", "Image tokens"),
            *_score_columns(settings, scores),
            Column("unparseable", "No valid answer"),
        ),
        rows=(*rows, *_published_rows(settings, scores), *_baseline_rows(settings, scores)),
        notes=(
            *notes(settings, scores, settings.benchmarks),
            *_published_notes(settings),
            seed_note(settings),
        ),
    )


def _score_columns(settings: ReportSettings, scores: Scores) -> Iterable[Column]:
    for benchmark in settings.benchmarks:
        name, record = words.benchmark(settings, benchmark), scores.example(benchmark).record
        key, title = score_key(scores, benchmark), headline_title(scores.example(benchmark))
        if record.points_per_task is None:
            yield Column(key, f"{name} {title[:1].lower()}{title[1:]}")
        else:
            most = f"(of {record.headline.maximum:,})"
            yield Column(key, f"{name} total {most}")


def _tokens(settings: ReportSettings, training: Training, arm: str) -> dict[str, Cell]:
    return {"tokens": _cost(settings, training, arm, "tokens", "count")}


def _score_cells(settings: ReportSettings, scores: Scores, arm: str, *, parsed: bool = True) -> dict[str, Cell]:
    samples, groups = settings.report.bootstrap_samples, {name: scores[arm, name] for name in settings.benchmarks}
    cells = {score_key(scores, name): headline(group, samples) for name, group in groups.items()}
    every = [score for group in groups.values() for score in group]
    if not parsed:
        return cells
    lost = sum(score.record.unparseable for score in every)
    files = tuple(score.path.as_posix() for score in every)
    return cells | {
        "unparseable": Cell(
            lost,
            "count",
            "measured",
            seeds=settings.seeds,
            files=files,
            where="tasks",
            formula="sum of `unparseable` over tasks, benchmarks and seeds",
        )
    }


def _published_notes(settings: ReportSettings) -> list[str]:
    names = words.projectors(settings)
    found = [
        f"Published, {names[number.arm]}, {words.benchmark(settings, number.benchmark)}: {number.source}."
        for number in settings.report.published
        if number.minus is None
    ]
    return [*found, PUBLISHED_NOTE] if found else []


def _published_rows(settings: ReportSettings, scores: Scores) -> list[Row]:
    rows: dict[str, dict[str, Cell]] = {}
    for number in settings.report.published:
        if number.minus is None:
            cell = published_cell(scores, number.benchmark, number.value, number.source, difference=False)
            rows.setdefault(number.arm, {})[score_key(scores, number.benchmark)] = cell
    names = words.projectors(settings)
    return [
        Row(f"published_{arm}", "published", {"projector": f"{names[arm]}, published"}, of) for arm, of in rows.items()
    ]


def published_cell(scores: Scores, benchmark: str, value: float, source: str, *, difference: bool) -> Cell:
    """A published number in the units of a benchmark."""
    points = scores.example(benchmark).record.points_per_task is not None
    unit: Unit = ("difference" if difference else "points") if points else "percent"
    unit = "percent_difference" if difference and not points else unit
    digits = max(1, len(repr(value).partition(".")[2])) if value % 1 else 1
    return Cell(value if points else value / 100, unit, "published", note=source, digits=digits)


def _baseline_rows(settings: ReportSettings, scores: Scores) -> list[Row]:
    rows: dict[str, dict[str, Cell]] = {}
    for benchmark in settings.benchmarks:
        for name, cells in baselines(scores.example(benchmark)).items():
            rows.setdefault(name, {})[score_key(scores, benchmark)] = cells[ALL]
    return [
        Row(name, "baseline", {"projector": words.in_words(name)}, cells, needs_no_image=True)
        for name, cells in rows.items()
    ]


# Costs ----------------------------------------------------------------------------------------------------------------


def cost_table(settings: ReportSettings, training: Training) -> Table:
    """One row per arm: its size, its operations, and how long its trainings took."""
    times: tuple[tuple[str, Unit, str, str], ...] = (
        ("seconds", "seconds", "time of a model", "time"),
        ("samples_per_second", "rate", "samples per second", "samples/s"),
    )
    names = words.projectors(settings)
    rows = []
    for arm in settings.projectors:
        cells = _tokens(settings, training, arm) | {
            "parameters": _cost(settings, training, arm, "parameters", "parameters"),
            "flops": _cost(settings, training, arm, "flops", "flops"),
        }
        for stage in STAGES:
            for field, unit, _, _ in times:
                cells[f"{stage}.{field}"] = _mean(settings, training, arm, stage, field, unit)
        rows.append(Row(arm, "arm", {"projector": names[arm]}, cells))
    stages = {"pretrain": "Pretraining", "finetune": "Fine-tuning"}
    hardware = sorted({run.hardware for of in training.runs.values() for seed in of.values() for run in seed.values()})
    return Table(
        name="cost",
        caption=f"Projectors of config {settings.config} ({settings.report.scale}): what they cost.",
        heads=HEADS,
        columns=(
            Column("tokens", "Image tokens"),
            Column("parameters", "Trained projector parameters", short="Parameters"),
            Column("flops", "FLOPs per image"),
            *(
                Column(f"{stage}.{field}", f"{title}: {what}", short=f"{title}, {short}")
                for stage, title in stages.items()
                for field, _, what, short in times
            ),
        ),
        rows=tuple(rows),
        notes=(
            "FLOPs: of the projector's matrix products for one image, a multiply-add counted as two.",
            "Means over seeds. Time: what the jobs took, from their start to the saved model, loading and, for "
            "pretraining, alignment included; of one that was interrupted, its last sitting. Samples per second: over "
            f"the steps alone, of all sittings. Jobs of one machine may have run beside each other. Measured on: "
            f"{'; '.join(hardware)}.",
        ),
    )


def _training_file(settings: ReportSettings) -> tuple[str, ...]:
    return (Layout(settings.config).training.as_posix(),)


def _cost(settings: ReportSettings, training: Training, arm: str, field: str, unit: Unit) -> Cell:
    how = {
        "tokens": "from the settings",
        "parameters": "numbers of the trained tensors of the projector in the weights file",
        "flops": "from the settings: matrix products for one image",
    }
    return Cell(
        getattr(training.costs[arm], field),
        unit,
        "measured" if field == "parameters" else "computed",
        files=_training_file(settings),
        where=f"costs.{arm}.{field}",
        formula=how[field],
        digits=2,
    )


def _mean(settings: ReportSettings, training: Training, arm: str, stage: str, field: str, unit: Unit) -> Cell:
    """Mean over seeds of what a stage's trainings took."""
    values = [getattr(training.run(arm, seed, stage), field) for seed in settings.seeds]
    if None in values:
        return Cell(None, unit, "unknown", files=_training_file(settings), note="what the runs noted is not at hand")
    return Cell(
        sum(values) / len(values),
        unit,
        "measured",
        seeds=settings.seeds,
        seed_values=tuple(values),
        files=_training_file(settings),
        where=f"runs.{arm}",
        formula=f"mean over seeds of `{field}` of {stage}",
    )


# Variants -------------------------------------------------------------------------------------------------------------


def ablations_table(settings: ReportSettings, scores: Scores, training: Training) -> Table:
    """The headline arm and its variants, with what tells them apart."""
    found = relations(settings, training)
    arms = [arm for arm in settings.projectors if found[arm] in ("headline", "variant")]
    fields = [settings.projectors[arm].model_dump(mode="json") for arm in arms]
    differ = [key for key in fields[0] if any(of.get(key) != fields[0][key] for of in fields)]
    heads = HEADS | {key: words.in_words(key) for key in differ}
    names = words.projectors(settings)
    rows = [
        Row(
            arm,
            "arm",
            {"projector": names[arm]} | {key: str(of.get(key)) for key in differ},
            _score_cells(settings, scores, arm, parsed=False),
        )
        for arm, of in zip(arms, fields, strict=True)
    ]
    return Table(
        name="ablations",
        caption=(
            f"Variants of {names[arms[0]]}, config {settings.config} ({settings.report.scale}): all else is the same."
        ),
        heads=heads,
        columns=tuple(_score_columns(settings, scores)),
        rows=tuple(rows),
        notes=(
            *([] if len(arms) > 1 else [f"This configuration has no variant of {names[arms[0]]}."]),
            seed_note(settings),
        ),
    )


def captions_table(settings: ReportSettings, scores: Scores, training: Training) -> Table:
    """A row for the headline arm, and for each arm with its projector that was pretrained on other captions."""
    found, names = relations(settings, training), words.projectors(settings)
    arms = [arm for arm in settings.projectors if found[arm] in ("headline", "captions")]
    rows = []
    for arm in arms:
        stage = training.settings[arm]["pretrain"]
        texts = {
            "projector": names[arm],
            "mixture": ", ".join(f"{name} {weight:g}" for name, weight in sorted(stage["mixture"].items())),
            "samples": f"{stage['num_samples']:,}",
        }
        rows.append(Row(arm, "arm", texts, _score_cells(settings, scores, arm, parsed=False)))
    return Table(
        name="captions",
        caption=f"{names[arms[0]]} pretrained on other captions, config {settings.config} ({settings.report.scale}).",
        heads=HEADS | {"mixture": "Pretrained on", "samples": "Samples"},
        columns=tuple(_score_columns(settings, scores)),
        rows=tuple(rows),
        notes=(*([] if len(arms) > 1 else ["This configuration has one kind of captions alone."]), seed_note(settings)),
    )
