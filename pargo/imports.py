"""Imports of what is large and stays until a process ends, such as torch and transformers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def for_good() -> Iterator[None]:
    """Import modules in it: Python's garbage collector looks through them neither now nor ever after.

    It would do so dozens of times while they are imported, and once more when the process ends, and find nothing: that
    was a quarter of what a short job cost.
    """
    known = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:  # else it would keep what else there is, garbage too
            gc.freeze()
        gc.enable()
