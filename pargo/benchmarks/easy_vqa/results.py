"""easy-VQA has no result format of its own."""

from __future__ import annotations

from pargo.benchmarks.formats.predictions import read, write

__all__ = ["read", "write"]
