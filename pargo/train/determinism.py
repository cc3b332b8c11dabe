"""The same bits in every run on the same hardware."""

from __future__ import annotations

import os

import torch


def be_deterministic(wanted: bool) -> None:
    """Refuse operations whose result varies from run to run, or allow them."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.use_deterministic_algorithms(wanted)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time and changes no result
    torch.backends.cudnn.benchmark = not wanted
