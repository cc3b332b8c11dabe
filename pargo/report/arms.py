"""What each arm is to the headline arm: a rival, a variant of it, or the same projector trained otherwise."""

from __future__ import annotations

from typing import Literal

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


def learning_groups(settings: ReportSettings, training: Training) -> list[list[str]]:
    """Arms that differ in numbers of samples alone, those with the fewest first; groups of two or more."""
    groups: dict[str, list[str]] = {}
    for arm in settings.projectors:
        groups.setdefault(_rest(settings, training, arm), []).append(arm)
    return [sorted(arms, key=lambda arm: num_samples(training, arm)) for arms in groups.values() if len(arms) > 1]


def num_samples(training: Training, arm: str) -> int:
    """Images seen in both stages."""
    return sum(training.settings[arm][stage]["num_samples"] for stage in STAGES)


def _rest(settings: ReportSettings, training: Training, arm: str) -> str:
    stages = [{**training.settings[arm][stage], "num_samples": None} for stage in STAGES]
    return canonical_json([settings.projectors[arm], *stages])
