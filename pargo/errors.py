"""The error a user can act on: its text names what was wrong, where, and what would be right."""


class PargoError(Exception):
    """Expected failure with a message for the user; the CLI prints it without a traceback, exit code 1."""


class ConfigError(PargoError):
    """A config that cannot be run; the CLI exits with code 2 before anything runs."""


class InputError(PargoError, ValueError):
    """A value that a model, processor or converter cannot take: a ValueError for those who use them as a library."""
