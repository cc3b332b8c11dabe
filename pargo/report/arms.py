"""What each arm is to the headline arm: a rival, a variant of it, or the same projector trained otherwise."""

from __future__ import annotations

from typing import Literal

from pargo.report.settings import ReportSettings
from pargo.report.training_file import Training

Relation = Literal["headline", "qformer", "projector", "variant", "captions", "training"]


def relations(settings: ReportSettings, training: Training) -> dict[str, Relation]:
    """By arm: `headline` itself; a `qformer` or another `projector`; a `variant` of the headline arm's projector; the
    very same projector pretrained on other datasets (`captions`), or trained otherwise (`training`)."""
    return {arm: _relation(settings, training, arm) for arm in settings.projectors}


def _relation(settings: ReportSettings, training: Training, arm: str) -> Relation:
    first = settings.report.headline_arm
    ours, other = settings.projectors[first], settings.projectors[arm]
    if arm == first:
        return "headline"
    if other.name != ours.name:
        return "qformer" if other.name == "qformer" else "projector"
    if other != ours:
        return "variant"
    mixtures = [training.settings[name]["pretrain"]["mixture"].keys() for name in (first, arm)]
    return "captions" if mixtures[0] != mixtures[1] else "training"
