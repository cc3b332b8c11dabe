"""What commands share: types of their options, and the config file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pargo.arguments import existing_file
from pargo.errors import PargoError, UsageError
from pargo.project import Seen

DEFAULT_CONFIG = Path("config/quick.yaml")
PATH = click.Path(path_type=Path)

config_option = click.option(
    "--config", type=PATH, help=f"Config file: which paper is run. [default: {DEFAULT_CONFIG}]"
)


class Group(click.Group):
    """A group whose help shows the first sentence of each command whole."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(200)) for name, command in self.commands.items()])


class Number(click.ParamType):
    """A number within bounds; what is wrong with another one is said as of a config's."""

    def __init__(self, kind: type[int] | type[float], low: float | None = None, high: float | None = None) -> None:
        self.kind, self.low, self.high = kind, low, high
        self.name = "integer" if kind is int else "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        try:
            number = self.kind(value)
        except ValueError:
            expected = "a whole number" if self.kind is int else "a number"
            self.fail(f"{value!r} is not valid: expected {expected}", param, ctx)
        if self.low is not None and number < self.low:
            self.fail(f"{value!r} is not valid: expected at least {self.low}", param, ctx)
        if self.high is not None and not number <= self.high:  # nor is nan
            self.fail(f"{value!r} is not valid: expected at most {self.high}", param, ctx)
        return number


def read_config(seen: Seen, config: Path | None) -> tuple[Path, Any]:
    """A config file, as seen from the project, and the config in it."""
    path = existing_file("--config", seen(config) if config else DEFAULT_CONFIG)
    return path, valid_config(path)


def valid_config(path: Path) -> Any:
    """The config in a file that is there."""
    from pargo.config.yaml_file import read_yaml

    data = read_yaml(path)  # what is no YAML is said before pydantic is there
    from pargo.config.experiment import parse_config
    from pargo.sources.needed import check_sources

    config = parse_config(data, where=str(path))
    check_sources(config, str(path))
    return config


@contextmanager
def given() -> Iterator[None]:
    """Whatever is wrong with files that a person named is a wrong argument."""
    try:
        yield
    except PargoError as error:
        raise UsageError(str(error)) from error
