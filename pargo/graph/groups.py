"""The stages as a person calls them, in the groups that run together; light, so that a wrong name is said at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Stages that run together, because they are neighbours and can share the cores."""

    stages: tuple[str, ...]  # as a person calls them
    rules: tuple[str, ...]
    last: tuple[str, ...]  # those rules that no other of the group needs: Snakemake takes only such in one --until


REPORT = ("report_captions", "report_tables", "report_figures", "report_page")
CAPTIONS = ("fingerprint", "select", "caption", "filter")
GROUPS = (
    Group(("download",), ("download",), ("download",)),
    Group(CAPTIONS, CAPTIONS, ("filter",)),
    Group(("features",), ("features",), ("features",)),
    Group(("pretrain", "finetune"), ("pretrain", "finetune"), ("finetune",)),
    Group(("evaluate",), ("evaluate", "attention"), ("evaluate", "attention")),
    Group(("grade",), ("grade",), ("grade",)),
    Group(("score",), ("score",), ("score",)),
    Group(("report",), REPORT, ("report_captions", "report_page")),
)
STAGES = tuple(stage for group in GROUPS for stage in group.stages)
