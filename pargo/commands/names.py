"""Names of all commands; light, so that a wrong one is said at once."""

from __future__ import annotations

from pargo.stages import STAGES

# by panel of `pargo --help`: commands and groups of commands, each with its module
PANELS = {
    "Run": {
        "reproduce": "experiment",
        "plan": "experiment",
        "accept": "experiment",
        "cancel": "jobs",
        "gc": "experiment",
        "versions": "experiment",
    },
    "Look": {
        "status": "experiment",
        "why": "experiment",
        "trace": "scores",
        "jobs": "jobs",
        "logs": "jobs",
        "data": "data",
        "config": "experiment",
    },
    "Score": {"score": "scores", "compare": "scores", "judge": "scores"},
    "Use a model": {
        "export": "models",
        "chat": "models",
        "serve": "models",
        "convert-release": "models",
        "convert-language": "models",
    },
}
MODULES = {name: module for panel in PANELS.values() for name, module in panel.items()}
# called by the rules of the graph; `pargo score predictions` is a form of `pargo score`
STAGE_COMMANDS = sorted({stage.command.partition(" ")[0] for stage in STAGES.values()} - MODULES.keys())
