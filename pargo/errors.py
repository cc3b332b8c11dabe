"""The error a user can act on: its text names what was wrong, where, and what would be right.

The command line prints it as one line, without a traceback, and ends with its exit code: 2 where the command was called
with something that cannot be (an argument, a file that is not there or of the wrong kind, a config), 1 where work
failed.
"""


class PargoError(Exception):
    """Expected failure with a message for the user."""

    exit_code = 1


class UsageError(PargoError):
    """An argument of a command that cannot be: nothing has run yet."""

    exit_code = 2


class ConfigError(PargoError):
    """A config that cannot be run; the CLI ends before anything runs."""

    exit_code = 2


class InputError(PargoError, ValueError):
    """A value that a model, processor or converter cannot take: a ValueError for those who use them as a library."""

    exit_code = 2
