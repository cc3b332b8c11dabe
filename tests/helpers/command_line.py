"""The command line called in the tests' own process: starting another costs more than most commands."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pargo.cli import main


def call(
    *arguments: str | Path, folder: Path | None = None, stdin: str = "", variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `pargo ARGUMENTS` prints and its exit code.

    Args:
        folder: where it is called, in place of the working directory.
        stdin: what a person types.
        variables: the whole environment, in place of this process's.

    Raises:
        Exception: what the command lets through, which a process would print as a traceback.
    """
    command = ["pargo", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        patch.chdir(folder or Path.cwd())  # the command may go to its project; this way leads back
        for name in set(os.environ) - set(variables) if variables is not None else ():
            patch.delenv(name)
        for name, value in (variables or {}).items():
            patch.setenv(name, value)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                code = end.code
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
