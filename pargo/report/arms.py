"""What each arm is to the headline arm: a rival, a variant of it, or the same projector trained otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from pargo.config.base import canonical_json
from pargo.report.settings import ReportSettings
from pargo.report.training_file import STAGES, Training

Relation = Literal["headline", "qformer", "projector", "variant", "captions", "training"]


def relations(settings: ReportSettings, training: Training) -> dict[str, Relation]:
    """What each arm is to the headline arm.

    `headline` itself; a `qformer` or another `projector`; a `variant` of its projector that is trained alike; the very
    same projector pretrained on other datasets (`captions`); or `training`: one of its kind that is trained otherwise.
    """
    return {arm: _relation(settings, training, arm) for arm in settings.projectors}


def _relation(settings: ReportSettings, training: Training, arm: str) -> Relation:
    first = settings.report.headline_arm
    ours, other = settings.projectors[first], settings.projectors[arm]
    if arm == first:
        return "headline"
    if other.name != ours.name:
        return "qformer" if other.name == "qformer" else "projector"
    if other != ours:
        return "variant" if trained_alike(settings, training, arm) else "training"
    other_data = _mixture(training, first) != _mixture(training, arm)
    return "captions" if other_data and trained_alike(settings, training, arm, but_captions=True) else "training"


def trained_alike(settings: ReportSettings, training: Training, arm: str, but_captions: bool = False) -> bool:
    """Whether an arm was trained as the headline arm was, in both stages.

    Args:
        but_captions: leave out which captions it was pretrained on, and how many of them.
    """
    ours, other = (training.settings[name] for name in (settings.report.headline_arm, arm))
    leave_out = {"mixture", "num_samples"} if but_captions else set()
    pretrain = [{key: of["pretrain"][key] for key in of["pretrain"].keys() - leave_out} for of in (ours, other)]
    return pretrain[0] == pretrain[1] and ours["finetune"] == other["finetune"]


def _mixture(training: Training, arm: str) -> set[str]:
    return set(training.settings[arm]["pretrain"]["mixture"])


class Samples(NamedTuple):
    """Images that a model was trained on, in the order of the trainings."""

    alignment: int
    pretrain: int
    finetune: int


def num_samples(training: Training, arm: str) -> Samples:
    """Images of each training of an arm's models; of alignment 0 where there was none."""
    pretrain, finetune = (training.settings[arm][stage] for stage in STAGES)
    return Samples(
        (pretrain.get("alignment") or {}).get("num_samples", 0), pretrain["num_samples"], finetune["num_samples"]
    )


def learning_groups(settings: ReportSettings, training: Training) -> list[list[str]]:
    """Groups of arms that differ in numbers of samples alone, those with the fewest first.

    Each has more than the one before it, of one training at least, and of none less.
    """
    groups: dict[str, list[str]] = {}
    for arm in settings.projectors:
        groups.setdefault(_without_numbers(settings, training, arm), []).append(arm)
    ordered = [sorted(arms, key=lambda arm: num_samples(training, arm)) for arms in groups.values() if len(arms) > 1]
    return [arms for arms in ordered if _grows([num_samples(training, arm) for arm in arms])]


def _grows(samples: Sequence[Samples]) -> bool:
    pairs = list(pairwise(samples))
    return all(a != b and all(x <= y for x, y in zip(a, b, strict=True)) for a, b in pairs)


def _without_numbers(settings: ReportSettings, training: Training, arm: str) -> str:
    """Projector and settings of the trainings, but for how many samples they saw."""
    stages = [dict(training.settings[arm][stage]) for stage in STAGES]
    for stage in stages:
        del stage["num_samples"]
        if stage.get("alignment"):
            stage["alignment"] = stage["alignment"] | {"num_samples": None}
    return canonical_json([settings.projectors[arm], *stages])
