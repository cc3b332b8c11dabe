"""Sentences below a table: what the benchmarks are, how their answers were read, what the intervals cover."""

from __future__ import annotations

from collections.abc import Iterable

from pargo.report import words
from pargo.report.cells import rounded
from pargo.report.scores import Scores
from pargo.report.settings import ReportSettings


def notes(settings: ReportSettings, scores: Scores, benchmarks: Iterable[str]) -> tuple[str, ...]:
    """Sentences on some benchmarks: what was asked, how answers were read, what needs no image."""
    return tuple(note for name in benchmarks for note in _of_benchmark(settings, scores, name))


def _of_benchmark(settings: ReportSettings, scores: Scores, benchmark: str) -> Iterable[str]:
    chosen, record = settings.benchmarks[benchmark], scores.example(benchmark).record
    name = words.benchmark(settings, benchmark)
    parser = words.in_words(record.parser).lower()
    edition = f"{found}, " if (found := record.edition_words) else ""
    counts = f"{record.num_questions(None):,} {chosen.by_task.counted} about {record.num_images(None):,} images"
    yield f"{name}: {edition}{counts}, {parser} parser{words.asked_model(chosen)}."
    yield from _of_parsers(settings, scores, benchmark)
    for baseline, entry in record.baselines.items():
        yield f"{words.in_words(baseline)} ({name}): {entry.how}."


def _of_parsers(settings: ReportSettings, scores: Scores, benchmark: str) -> Iterable[str]:
    """Scores by the other parsers of a benchmark, for every run in which they differ."""
    names, name = words.projectors(settings), words.benchmark(settings, benchmark)
    for arm in settings.projectors:
        for score in scores[arm, benchmark]:
            by_parser = score.record.numbers("parsers") if "parsers" in score.record.figures else {}
            if len(set(by_parser.values())) > 1:
                values = (f"{words.in_words(parser).lower()} {_by_size(value)}" for parser, value in by_parser.items())
                yield f"Parsers disagree for {names[arm]}, {name}, seed {score.seed}: {', '.join(values)}."


def _by_size(value: float) -> str:
    """Points with one decimal, shares with three."""
    return f"{rounded(value, 1 if value > 1 else 3)}"


def seed_note(settings: ReportSettings, values: str = "Values") -> str:
    """What the intervals cover, which depends on the number of seeds; `values` are those that are means over them."""
    if len(settings.seeds) == 1:
        return (
            "Intervals: 95 % bootstrap over images, without width where all images score alike (others need not). One "
            "training seed, so they say nothing about how much another training run would differ."
        )
    return (
        f"{values} are means over {len(settings.seeds)} training seeds, and their 95 % intervals are over images "
        f"(bootstrap) and seeds (Satterthwaite's t); those of one seed are over images alone. An interval has no width "
        "where all images and seeds score alike (others need not)."
    )
