"""Names of datasets and sources are labels: what was made is compared by what the names stand for.

A name decides nothing but the order of several datasets in a mixture, which is that of their names. What models a tower
or a language model came from is in a trained model by name, so these two names do count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# stages whose artifacts do not hold the names that their settings have; files of the report show them
LABELLED = ("download", "select", "warm_up", "pretrain", "finetune", "evaluate")
# folders of artifacts whose paths hold a name, and what the only one that is read is called
BY_NAME = {
    "sources": "source",
    "features": "features",
    "captions": "captions",
    "models": "model",
    "predictions": "predictions",
    "grades": "grades",
    "language": "warmed-up language model",
    "selection": "selection",
    "raw_captions": "raw captions",
}


class Labels(NamedTuple):
    """What the names in the settings of a stage stand for, e.g. `dataset 00` and `source of dataset 00`."""

    datasets: Mapping[str, str]
    sources: Mapping[str, str]


def labels_of(settings: Mapping[str, Any]) -> Labels:
    """The labels of a stage.

    Args:
        settings: of the stage, as read from JSON.
    """
    mixture = (settings.get("train") or {}).get("mixture") or settings.get("sources") or {}  # of a warm-up
    datasets = {name: f"dataset {number:02}" for number, name in enumerate(sorted(mixture))}
    sources: dict[str, str] = {}
    parts = {"vision": "vision tower", "language": "language model", "benchmark": "source of the benchmark"}
    for part, label in parts.items():
        if isinstance(settings.get(part), Mapping) and isinstance(name := settings[part].get("source"), str):
            sources.setdefault(name, label)
    for name, label in datasets.items():
        if source := (settings.get("sources") or {}).get(name):
            sources.setdefault(source, f"source of {label}")
    if isinstance(settings.get("source"), str):
        sources.setdefault(settings["source"], "own source")
    return Labels(datasets, sources)


def with_labels(rule: str, settings: Mapping[str, Any], labels: Labels) -> dict[str, Any]:
    """Settings of a stage with labels in place of the names that are labels.

    Args:
        rule: the stage.
        settings: all of it, or those that somebody chose.
        labels: of all.
    """
    found = dict(settings)
    if rule not in LABELLED:
        return found
    datasets, sources = labels

    def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
        return {datasets.get(name, name): value for name, value in values.items()}

    if rule == "download":
        found.pop("id", None)
    if isinstance(found.get("train"), Mapping) and "mixture" in found["train"]:
        weights = renamed(found["train"]["mixture"])
        total = sum(weights[label] for label in sorted(weights))  # as the sampler does: shares are what counts
        found["train"] = {**found["train"], "mixture": {label: weight / total for label, weight in weights.items()}}
    if isinstance(found.get("language"), Mapping) and (warm_up := found["language"].get("warm_up")):
        # its datasets may be others than those of a training
        weights = warm_up.get("mixture") or {}
        total = sum(weights[name] for name in sorted(weights))
        own = {f"dataset {number:02}": weights[name] / total for number, name in enumerate(sorted(weights))}
        found["language"] = {**found["language"], "warm_up": {**warm_up, "mixture": own}}
    if "sources" in found:
        found["sources"] = {name: sources.get(source, source) for name, source in renamed(found["sources"]).items()}
    if "splits" in found:
        found["splits"] = renamed(found["splits"])
    if "shuffle_turns" in found:
        found["shuffle_turns"] = sorted(datasets.get(name, name) for name in found["shuffle_turns"])
    if rule == "select" and "source" in found:
        found["source"] = sources.get(found["source"], found["source"])
    if isinstance(found.get("benchmark"), Mapping) and "source" in found["benchmark"]:
        source = found["benchmark"]["source"]
        found["benchmark"] = {**found["benchmark"], "source": sources.get(source, source)}
    return found


def by_label(inputs: Mapping[str, str], labels: Labels) -> dict[str, str]:
    """Hashes of inputs by where these are in their config, with labels in place of names.

    Args:
        inputs: hashes by path, e.g. of `artifacts/quick/sources/scenes.manifest.json`.
        labels: of the settings that they were read with.
    """
    found = {}
    for path, digest in inputs.items():
        top, _, rest = path.partition("/")
        found[_label(rest.partition("/")[2], labels) if top in ("artifacts", "reports") else path] = digest
    for kind, word in BY_NAME.items():
        places = [place for place in found if place.startswith(f"{kind}/")]
        if len(places) == 1:
            found[word] = found.pop(places[0])
    return found


def _label(place: str, labels: Labels) -> str:
    kind, _, file = place.partition("/")
    name, _, rest = file.partition(".")
    source, _, split = name.rpartition("-")
    if kind == "sources" and name in labels.sources:
        return f"{labels.sources[name]}.{rest}"
    if kind in ("features", "fingerprints") and source in labels.sources:
        return f"{kind} of {labels.sources[source]}, {split}.{rest}"
    if kind == "captions" and name in labels.datasets:
        return f"{kind} of {labels.datasets[name]}.{rest}"
    return place
