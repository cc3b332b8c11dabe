"""A shared folder whose server is away for a while."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from pargo.errors import PargoError

T = TypeVar("T")
# what it says meanwhile
PASSING = (errno.EROFS, errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTDOWN)
PATIENCE = 600.0  # seconds until it counts as broken


def patiently(action: Callable[[], T]) -> T:
    """Do something in the shared folder, and try again while its server is away.

    Raises:
        PargoError: it stayed away.
    """
    end, told = time.monotonic() + PATIENCE, False
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno not in PASSING:
                raise
            if time.monotonic() > end:
                raise PargoError(f"{error.filename}: {error.strerror} for {PATIENCE:.0f} s") from error
            if not told:
                print(f"{error.filename}: {error.strerror}; waiting", flush=True)
                told = True
            time.sleep(2)
