"""`pargo serve`: transformers' own server (OpenAI's interface), which then knows this project's classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pargo.export.load import require_exported


def serve(directory: Path, options: Sequence[str] = ()) -> None:
    """Run `transformers serve DIRECTORY OPTIONS` in this process; it listens on localhost unless an option says else.

    Args:
        directory: of an exported model.
        options: of `transformers serve`, e.g. `--port 8001`.

    Raises:
        InputError: no such model.
    """
    require_exported(directory)
    import transformers.cli.transformers as command_line

    command_line.app(["serve", str(directory), *options], prog_name="transformers")
