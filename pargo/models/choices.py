"""Choices between ways to compute the same thing: measured once on a machine, and remembered.

What was chosen is kept in `~/.cache/pargo/choices.json` (or below `$XDG_CACHE_HOME`), so that runs on one machine, and
both halves of an interrupted run, compute alike. Delete the file to measure again.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import torch
from torch import distributed

from pargo.files import user_cache_directory, write_atomic
from pargo.machine import hardware, versions

ROUNDS = 7
MARGIN = 0.05  # a way must be this much faster than the ones before it


def fastest(question: str, ways: Mapping[str, Callable[[], object]]) -> str:
    """The name of the fastest way on this machine; an earlier one wins unless a later one is clearly faster.

    Args:
        question: what is chosen for, with all sizes that matter; the answer is remembered under it.
        ways: name -> function that computes it once. Of several ranks the first measures, and all take its answer.
    """
    if distributed.is_initialized() and distributed.get_world_size() > 1:
        answer = [_remembered(question, ways) if distributed.get_rank() == 0 else None]
        distributed.broadcast_object_list(answer)
        return str(answer[0])
    return _remembered(question, ways)


def _remembered(question: str, ways: Mapping[str, Callable[[], object]]) -> str:
    path = user_cache_directory() / "choices.json"
    machine = f"{hardware()}; {torch.get_num_threads()} threads; torch {versions()['torch']}"
    key = f"{question}: {' or '.join(ways)}; {machine}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(".lock").open("w")
    except OSError:  # nowhere to remember it
        return _first_of_the_fast(_measure(ways))
    with lock:
        # the second of two jobs that start together takes the first one's answer
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(path)
        if known.get(key, {}).get("chosen") not in ways:
            seconds = _measure(ways)
            known[key] = {"chosen": _first_of_the_fast(seconds), "seconds": seconds}
            write_atomic(path, json.dumps(known, indent=1) + "\n")
        return known[key]["chosen"]


def _measure(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each way, measured in turns, so that all meet the same disturbances."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, compute in ways.items():
            start = time.perf_counter()
            compute()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            found[name].append(time.perf_counter() - start)
    return {name: median(values[1:]) for name, values in found.items()}  # the first one warms up


def _first_of_the_fast(seconds: Mapping[str, float]) -> str:
    chosen = next(iter(seconds))
    for name in seconds:
        if seconds[name] < seconds[chosen] * (1 - MARGIN):
            chosen = name
    return chosen


def _read(path: Path) -> dict[str, dict]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
