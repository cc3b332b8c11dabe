"""Stage `report captions`: what a caption set is made of, for people: a card, a figure, and samples to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from pargo.config.base import Name, Settings
from pargo.config.captions import Captions
from pargo.data.shards import Shards
from pargo.files import new_files, read_json, write_atomic
from pargo.report.review import left_out, review, shown
from pargo.report.style import GRAY, WIDTH, save, style

# mean words per caption as their papers say [published]
PUBLISHED = {"COCO": 11, "ShareGPT4V": 162, "DenseFusion": 191}


class CaptionsReportSettings(Settings):
    """What the report on captions reads of a config."""

    config: Name
    dataset: Name
    split: Literal["train", "test"]
    captions: Captions


def run(settings: CaptionsReportSettings, captions: Path, selection: Path, source: Path, output: Path) -> None:
    """Write the files `pargo.report.settings.CAPTION_REPORT` into a directory.

    Args:
        captions: artifact of the stage `filter`.
        selection: artifact of the stage `select`.
        source: artifact with the images.
        output: directory, e.g. `reports/quick/captions/scenes`.

    Raises:
        PargoError: a file cannot be read.
    """
    numbers, chosen = (read_json(path / "statistics.json") for path in (captions, selection))
    samples = shown(captions, settings.dataset)
    counts = read_json(source / "counts.json") if (source / "counts.json").exists() else {}
    examples = [row["caption"] for row in samples["kept"]]
    with style(), new_files(output) as directory:
        write_atomic(directory / "README.md", card(settings, chosen, numbers, examples, counts))
        save(lengths_figure(settings.dataset, numbers["words"]), directory, "lengths")
        save(reasons_figure(chosen, numbers), directory, "reasons")
        dropped = left_out(selection / "dropped.parquet", settings.dataset)
        images = Shards(source / settings.split)
        write_atomic(directory / "review.html", review(settings, numbers, samples, images, chosen, dropped))


def card(
    settings: CaptionsReportSettings,
    selection: Mapping[str, Any],
    numbers: Mapping[str, Any],
    examples: Sequence[str],
    counts: Mapping[str, Any],
) -> str:
    """The dataset card, Markdown.

    Args:
        selection: statistics of the stage `select`.
        numbers: statistics of the stage `filter`.
        examples: captions to show.
        counts: of the import of the source, where it has some.
    """
    engine = settings.captions.engine
    made = f"engine `{engine.kind}`"
    if engine.has_model:
        made += f", model {_names(numbers['model'])}, revision {_names(numbers['revision'])}; prompts "
        made += "; ".join(filter(None, (_names(numbers["prompt"]), engine.in_words())))
    lines = [
        f"# Captions of {settings.dataset}",
        "",
        f"Config `{settings.config}`, split {settings.split}. Made by {made}. Of {selection['images']:,} images "
        f"{selection['selected']:,} were selected; {numbers['num_captions']:,} captions are kept, "
        f"{numbers['num_distinct']:,} of them different. [Samples, kept and dropped](review.html).",
        "",
        "![Words per caption](lengths.png)",
        "",
        *_not_imported(counts),
        *_table("images that are not captioned, because", selection, "selected", "dropped"),
        *_benchmarks(selection),
        "![Images and captions that were left out, by reason](reasons.png)",
        "",
        *_table("captions that are not kept, because", numbers, "kept", "dropped"),
        *_failures(numbers["failures"]),
        *_cut(numbers["cut"]["thoughts"]),
        "| words per caption | |",
        "|---|---:|",
        *(f"| {key} | {_text(numbers['words'][key])} |" for key in ("min", "p5", "median", "mean", "p95", "max")),
        "",
        "| words per caption on | mean |",
        "|---|---:|",
        *(f"| {kind} | {_text(mean)} |" for kind, mean in numbers["details"].items()),
        "",
        f"Licences of the images, as their sources state them: {_names(numbers['licence'])}.",
        "",
        "## Known limits",
        "",
        "- Near duplicates are found by a hash of grey values: images that differ in colour alone count as alike, and "
        "strongly cropped ones do not.",
        "- Rules on texts know words, not truth: a fluent caption of something that is not in the image passes, unless "
        "a scorer is configured.",
        "- Where words are not divided by spaces, two characters of Chinese or Japanese, or four of Thai, Lao, Khmer "
        "or Burmese, count as one word.",
        "- The words on position, colour, count and text are counted from short lists of English words.",
        "",
        "## Examples",
        "",
        *(f"- {_inline(example)}" for example in examples),
        "",
    ]
    return "\n".join(lines)


def _table(title: str, numbers: Mapping[str, Any], kept: str, dropped: str) -> list[str]:
    """Reasons by origin; those that nothing was dropped for are named below."""
    origins = numbers["origins"]
    heads = [name or "all" for name in origins] if len(origins) > 1 else []
    total = numbers[dropped]
    used = [reason for reason, count in total.items() if count]
    lines = [f"| {title} | {'all' if heads else 'number'} |" + "".join(f" {head} |" for head in heads)]
    lines += ["|---|---:|" + "---:|" * len(heads)]
    for reason in used:
        cells = [origin[dropped][reason] for origin in origins.values()] if heads else []
        numbers_of = "".join(f" {count:,} |" for count in cells)
        lines.append(f"| {reason.replace('_', ' ')} | {total[reason]:,} |{numbers_of}")
    cells = [origin[kept] for origin in origins.values()]
    lines.append(f"| ({kept}) | {sum(cells):,} |" + ("".join(f" {count:,} |" for count in cells) if heads else ""))
    unused = ", ".join(reason.replace("_", " ") for reason in total if reason not in used)
    return [*lines, "", *([f"None for: {unused}.", ""] if unused else [])]


def _benchmarks(selection: Mapping[str, Any]) -> list[str]:
    found = ", ".join(f"{name} {count:,}" for name, count in selection["benchmarks"].items())
    return [f"Contaminated, by benchmark: {found}.", ""] if found else []


def _not_imported(counts: Mapping[str, Any]) -> list[str]:
    """What the import of the source left out."""
    broken = counts.get("broken")
    reasons = broken if isinstance(broken, Mapping) else counts.get("reasons", {})
    if not broken:
        return []
    found = "; ".join(f"{_inline(str(reason))} {count:,}" for reason, count in reasons.items())
    total = sum(broken.values()) if isinstance(broken, Mapping) else broken
    return [f"Samples that the import of the source left out: {total:,}{f' ({found})' if found else ''}.", ""]


def _cut(thoughts: int) -> list[str]:
    text = f"Captions that went on without the thoughts of the model, which were cut: {thoughts:,}."
    return [text, ""] if thoughts else []


def _failures(failures: Mapping[str, int]) -> list[str]:
    found = "; ".join(f"{_inline(reason)} {count:,}" for reason, count in failures.items())
    return [f"Images for which the engine had no caption: {found}.", ""] if found else []


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_inline(name)} ({count:,})" for name, count in counts.items()) or "not stated"


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _inline(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    flat = " ".join(text.split())[:500]
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|" else char for char in flat)


def lengths_figure(dataset: str, lengths: Mapping[str, Any]) -> Figure:
    """Words per caption, beside the published means of other sets."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axis = figure.subplots()
    values, counts = zip(*((int(length), count) for length, count in lengths["histogram"].items()), strict=True)
    axis.hist(values, bins=_edges(values), weights=counts, color="C0", edgecolor="white", linewidth=0.4)
    axis.set_title(f"Words per caption: {dataset}")
    axis.set_xlabel("Words")
    axis.set_ylabel("Captions")
    axis.set_xlim(0, max(205, 1.05 * max(values)))
    axis.set_ylim(0, 1.7 * axis.get_ylim()[1])  # room for the lines' texts above the bars
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    mean = lengths["mean"]
    _line(axis, mean, f"mean {mean:.3g}", "C0", 0.97, left=mean > 100)
    for place, (name, published) in enumerate(PUBLISHED.items()):
        _line(axis, published, f"{name} {published} [published]", GRAY, 0.97 - 0.11 * (place + 1), left=published > 100)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def reasons_figure(selection: Mapping[str, Any], numbers: Mapping[str, Any]) -> Figure:
    """How many images and captions were left out, by reason and origin; reasons of nothing are not shown.

    Args:
        selection: statistics of the stage `select`.
        numbers: statistics of the stage `filter`.
    """
    panels = (
        ("images", selection, f"{selection['selected']:,} of {selection['images']:,} images captioned"),
        ("captions", numbers, f"{numbers['num_captions']:,} of {numbers['num_images']:,} captioned and kept"),
    )
    bars = [[reason for reason, count in found["dropped"].items() if count] for _, found, _ in panels]
    failed = sum(numbers["failures"].values())
    bars[1] += ["no caption"] if failed else []
    origins = sorted({name for _, found, _ in panels for name in found["origins"]})
    height = 1.1 + 0.22 * max(1, *map(len, bars))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    for axis, (noun, found, title), reasons in zip(figure.subplots(1, 2), panels, bars, strict=True):
        left = [0] * len(reasons)
        for place, origin in enumerate(origins):
            counts = found["origins"].get(origin, {"dropped": {}})["dropped"]
            width = [counts.get(reason, 0) for reason in reasons]
            axis.barh(range(len(reasons)), width, left=left, color=f"C{place}", height=0.7)
            left = [start + more for start, more in zip(left, width, strict=True)]
        if reasons and reasons[-1] == "no caption":  # of any origin
            axis.barh(len(reasons) - 1, failed, color=GRAY, height=0.7)
            left[-1] = failed
        for row, total in enumerate(left):
            axis.annotate(
                f"{total:,}", (total, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7.5
            )
        axis.set_yticks(range(len(reasons)), [reason.replace("_", " ") for reason in reasons])
        axis.invert_yaxis()
        axis.set_xlim(0, 1.3 * max(left, default=1))
        axis.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_xlabel(f"{noun.capitalize()} left out")
        axis.set_title(title)
        axis.spines[["top", "right"]].set_visible(False)
        if not reasons:
            axis.set_xticks([])
            axis.text(0.5, 0.5, "none left out", transform=axis.transAxes, ha="center", va="center", color=GRAY)
    if len(origins) > 1:
        handles = [Patch(color=f"C{place}", label=origin or "(no origin)") for place, origin in enumerate(origins)]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(6, len(origins)))
    return figure


def _line(axis: Axes, mean: float, text: str, color: str, height: float, *, left: bool) -> None:
    """A vertical line with its text beside it, at a share of the axes' height."""
    axis.axvline(mean, color=color, linewidth=0.9, linestyle="-" if color != GRAY else (0, (4, 2)))
    place = axis.get_xaxis_transform()
    side = "right" if left else "left"
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # other lines pass behind the text
    axis.annotate(
        text,
        (mean, height),
        xycoords=place,
        xytext=(-4 if left else 4, 0),
        textcoords="offset points",
        color=color,
        va="top",
        ha=side,
        fontsize=7.5,
        bbox=ground,
    )


def _edges(values: Sequence[int]) -> list[float]:
    """One bin a length for short captions, some fifty bins for long ones."""
    step = max(1, (max(values) - min(values)) // 50)
    return [edge - 0.5 for edge in range(min(values), max(values) + step + 1, step)]
