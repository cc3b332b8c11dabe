"""`pargo serve`: transformers' own server (OpenAI's interface), which then knows this project's classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pargo.errors import PargoError


def serve(directory: Path, options: Sequence[str] = ()) -> None:
    """Run `transformers serve DIRECTORY OPTIONS` in this process; it listens on localhost unless an option says else.

    Args:
        directory: of an exported model.
        options: of `transformers serve`, e.g. `--port 8001`.

    Raises:
        PargoError: no such model.
    """
    if not (directory / "config.json").is_file():
        raise PargoError(f"{directory} holds no exported model: it has no config.json")
    # the server finds the classes there
    import transformers.cli.transformers as command_line

    import pargo.models.auto  # noqa: F401

    command_line.app(["serve", str(directory), *options], prog_name="transformers")
