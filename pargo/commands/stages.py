"""A command for each stage of `pargo.stages`: the rules of the graph call them, a person rarely does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pargo.arguments import named_directories, read_settings
from pargo.commands.options import PATH
from pargo.stages import STAGES, Input, Stage

HELP = {"one": "Made by an earlier stage.", "named": "Directory of a dataset.", "several": "Made by an earlier stage."}


def stage_command(name: str) -> click.Command:
    """The command that has this name, or the group of those whose first word it is, as `report`."""
    commands = {stage.command: command(stage) for stage in STAGES.values() if stage.command.partition(" ")[0] == name}
    if name in commands:
        return commands[name]
    parts = {words.partition(" ")[2]: command for words, command in commands.items()}
    return click.Group(name, parts, help=f"The stages of the {name}.", hidden=True, no_args_is_help=True)


def command(stage: Stage) -> click.Command:
    """The command of one stage: its settings, inputs and output."""
    path: dict[str, Any] = {"type": PATH, "required": True}
    parameters: list[click.Parameter] = [
        click.Option(["--settings"], required=True, metavar="JSON|FILE:NAME", help="What it reads of the config."),
        *(_parameter(of) for of in stage.inputs),
        click.Option(["--output"], **path, help="What the stage makes."),
    ]
    parameters.append(click.Option(["--strict"], is_flag=True, help="Make anew what differs by rounding alone."))
    if stage.finds:
        parameters.append(click.Option(["--found"], type=PATH, multiple=True, help="What it reads beside its inputs."))
    if stage.heavy or stage.keeps:
        where = "Where the job record, the log and checkpoints are kept."
        parameters.append(click.Option(["--run-directory"], **path, help=where))
    if stage.heavy:
        how = "How the job runs: `local` on this machine, `inline` in this process, or path of a jobs file."
        parameters.append(click.Option(["--executor"], default="local", help=how))

    def callback(settings: str, output: Path, **others: Any) -> None:
        inputs = {of.name: _value(of, others.pop(of.name)) for of in stage.inputs}
        given = read_settings("--settings", settings)
        from pargo.jobs.run import run_stage

        run_stage(stage, given, inputs, output, **others)

    name = stage.command.rpartition(" ")[2]
    return click.Command(name, params=parameters, callback=callback, help=stage.help, hidden=True)


def _parameter(of: Input) -> click.Parameter:
    option, many = f"--{of.name}", of.kind != "one"
    text = HELP[of.kind] + (" May be repeated." if many else "") + (" As the settings say." if of.optional else "")
    if of.kind == "named":
        return click.Option([option], multiple=True, required=not of.optional, metavar="NAME=DIR", help=text)
    return click.Option([option], type=PATH, multiple=many, required=not of.optional, help=text)


def _value(of: Input, value: Any) -> Any:
    """An input as `run` takes it."""
    return named_directories(value) if of.kind == "named" else list(value) if of.kind == "several" else value
