"""The command line: how commands are called, and how errors are told.

What a command does is in a module of `pargo.commands`, which is imported when the command is called. Nothing else is
before that, so that a wrong name is said at once.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from pargo.commands.names import MODULES, STAGE_COMMANDS
from pargo.errors import PargoError, UsageError


def main() -> None:
    """Run the command line; an expected error is one line, without a traceback."""
    try:
        _check_name(sys.argv[1:])
        from pargo.commands.application import call

        code = call(sys.argv[1:])
    except PargoError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except OSError as error:
        if error.errno is None or error.strerror is None:  # not of the system: a fault of ours or of a library
            raise
        _fail(": ".join(str(part) for part in (error.filename, error.strerror) if part), 1)
    sys.exit(code)


def _check_name(arguments: list[str]) -> None:
    """Refuse a command that there is not."""
    known = [*MODULES, *STAGE_COMMANDS]
    if not arguments or arguments[0].startswith("-") or arguments[0] in known:
        return
    from difflib import get_close_matches

    near = ", ".join(map(repr, get_close_matches(arguments[0], known)))
    raise UsageError(
        f"No such command {arguments[0]!r}{f'. Did you mean {near}?' if near else ''} (see `pargo --help`)"
    )


def _fail(message: str, code: int) -> NoReturn:
    text = f"error: {message}"
    print(f"\x1b[1;31m{text}\x1b[0m" if sys.stderr.isatty() else text, file=sys.stderr)
    sys.exit(code)
