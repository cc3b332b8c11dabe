"""Trainings in processes of their own, several ranks or one that is killed; forked from one with all imports."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["pargo.train.pretrain", "pargo.train.finetune"])


def job(world: Any, root: Path, stage: str = "pretrain", **changes: Any) -> tuple[str, str, dict[str, Any]]:
    """A stage on the test world: its name, settings and arguments; output and run directory are below `root`."""
    paths = {"output": root / "out", "run_directory": root / "run"}
    return stage, world.settings(stage, **changes), world.arguments(stage) | paths


def train(stage: str, settings: str, arguments: dict[str, Any], *, keep: Path | None = None) -> list[dict]:
    """Run a stage here, and return its metrics. `keep` receives copies of all checkpoints."""
    from pargo.train import finetune, pretrain
    from pargo.train.checkpoint import Checkpoints

    save = Checkpoints.save

    def observed(self: Checkpoints, step: int, *parts: Any) -> None:
        save(self, step, *parts)
        if keep is not None:
            name = f"step-{step:08d}"
            shutil.copytree(self.directory / name, keep / name, dirs_exist_ok=True)

    Checkpoints.save = observed
    try:
        module = {"pretrain": pretrain, "finetune": finetune}[stage]
        kind = {"pretrain": pretrain.PretrainSettings, "finetune": finetune.FinetuneSettings}[stage]
        module.run(kind.model_validate_json(settings), **arguments)
    finally:
        Checkpoints.save = save
        gc.collect()  # models are cycles, and Python does not know how large they are
    path = Path(arguments["output"]) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _rank(group: dict[str, str], kill_after: int | None, jobs: list[tuple], keep: Path | None) -> None:
    os.environ.update(group)
    if kill_after is not None:
        from pargo.train import loop

        original, steps = loop._step, []

        def step(*parts: Any) -> dict:
            steps.append(original(*parts))
            if len(steps) == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)  # as in a power cut
            return steps[-1]

        loop._step = step
    for stage, settings, arguments in jobs:
        train(stage, settings, arguments, keep=keep if group["RANK"] == "0" else None)


def start(
    jobs: list[tuple[str, str, dict]],
    *,
    world_size: int = 1,
    kill_after: int | None = None,
    keep: Path | None = None,
    last_rank: list[tuple[str, str, dict]] | None = None,
) -> list[Any]:
    """Start all ranks of jobs that run one after the other; each rank dies after `kill_after` steps.

    The last rank may have jobs of its own.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in range(world_size):
        group = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        group |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        own = last_rank if last_rank and rank == world_size - 1 else jobs
        processes.append(CONTEXT.Process(target=_rank, args=(group, kill_after, own, keep)))
        processes[-1].start()
    return processes


def finish(processes: list[Any], seconds: float = 120) -> list[int]:
    """Wait, and return the exit codes; what hangs is killed."""
    for process in processes:
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]
