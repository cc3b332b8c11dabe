"""The commands as one application of click, which imports the module of the command that is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from pargo import __version__
from pargo.commands.names import MODULES, PANELS, STAGE_COMMANDS
from pargo.errors import UsageError


class Application(click.Group):
    """Finds commands by the names in `names.py`, and shows people's commands in panels."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*MODULES, *STAGE_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in MODULES:
            return getattr(import_module(f"pargo.commands.{MODULES[cmd_name]}"), cmd_name.replace("-", "_"))
        if cmd_name in STAGE_COMMANDS:
            from pargo.commands.stages import stage_command

            return stage_command(cmd_name)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for panel, names in PANELS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            width = max(map(len, MODULES))
            rows = [(name.ljust(width), command.get_short_help_str(200)) for name, command in commands if command]
            with formatter.section(panel):
                formatter.write_dl(rows)
        with formatter.section("Stages, called by the rules of the graph"):
            formatter.write_text(", ".join(STAGE_COMMANDS))


@click.group(cls=Application, no_args_is_help=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """ParGo-Repro: reproduce the paper with one command."""


def call(arguments: Sequence[str]) -> int:
    """Run a command; its exit code.

    Raises:
        UsageError: an option, argument or command that cannot be.
        KeyboardInterrupt: stopped.
        Exception: whatever the command raises.
    """
    try:
        return app.main(list(arguments), prog_name="pargo", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        raise UsageError(_told(error)) from error
    except click.Abort:
        raise KeyboardInterrupt from None


def _told(error: click.ClickException) -> str:
    """What is wrong with the command line, in one sentence."""
    context: Any = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption):
        near = f" (Possible options: {', '.join(error.possibilities)})" if error.possibilities else ""
        message = f"No such option: {error.option_name}{near}"
    elif isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter) and error.param:
        name = error.param.opts[0] if isinstance(error.param, click.Option) else error.param.make_metavar(context)
        message = f"{name}: {error.message.rstrip('.')}"
    return f"{message} (see `{context.command_path if context else 'pargo'} --help`)"
