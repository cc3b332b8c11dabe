"""The stages as a person calls them, in the order in which they run; light, so that a wrong name is said at once."""

from __future__ import annotations

RULES = {
    "download": ("download",),
    "fingerprint": ("fingerprint",),
    "select": ("select",),
    "caption": ("caption",),
    "filter": ("filter",),
    "features": ("features",),
    "warm_up": ("warm_up",),
    "pretrain": ("pretrain",),
    "finetune": ("finetune",),
    "evaluate": ("evaluate", "attention"),
    "grade": ("grade",),
    "score": ("score",),
    "report": (
        "report_captions",
        "report_training",
        "report_answers",
        "report_tables",
        "report_figures",
        "report_page",
    ),
}
STAGES = tuple(RULES)


def rules_until(stage: str) -> list[str]:
    """The rules of a stage and of all stages before it."""
    return [rule for name in STAGES[: STAGES.index(stage) + 1] for rule in RULES[name]]
