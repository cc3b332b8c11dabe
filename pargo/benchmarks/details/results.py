"""Details have no result format of their own."""

from __future__ import annotations

from pargo.benchmarks.formats.predictions import read, write

__all__ = ["read", "write"]
