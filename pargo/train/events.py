"""Metrics of a running training for TensorBoard and DVCLive, below the run directory; of the first rank only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dvclive import Live
from torch.utils.tensorboard import SummaryWriter

from pargo.files import write_atomic


class Events:
    """Writes each step's numbers to `tensorboard/` and `dvclive/`.

    Args:
        run_directory: where these directories are.
        start: number of steps made before; events of later ones, which a killed run left, are dropped.
    """

    def __init__(self, run_directory: Path, start: int) -> None:
        self._board = SummaryWriter(str(run_directory / "tensorboard"), purge_step=start + 1)
        directory = run_directory / "dvclive"
        self._live = None
        try:
            _drop_later(directory, start)
            self._live = Live(str(directory), resume=start > 0, save_dvc_exp=False, dvcyaml=None, report=None)
        except Exception as error:  # it looks at git and DVC, and what ails them is no reason to lose a training
            print(f"no events for DVCLive: {error}", flush=True)

    def write(self, step: int, parts: Mapping[str, Mapping[str, float]]) -> None:
        """Numbers of a step, counted from one, as `part/name`."""
        numbers = {f"{part}/{name}": number for part, named in parts.items() for name, number in named.items()}
        for name, number in numbers.items():
            self._board.add_scalar(name, number, step)
        if self._live is not None:
            self._live.step = step
            for name, number in numbers.items():
                self._live.log_metric(name, number)
            self._live.make_summary()

    def close(self) -> None:
        """Write out what is left."""
        self._board.close()
        if self._live is not None:
            self._live.end()


def _drop_later(directory: Path, start: int) -> None:
    """Remove rows of steps after `start` from DVCLive's tables, which it would only append to."""
    for path in directory.glob("plots/metrics/**/*.tsv"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        header = lines[0].rstrip("\n").split("\t") if lines else []
        if "step" not in header:
            path.unlink()  # a power cut left no table
            continue
        cells = [(line, line.rstrip("\n").split("\t")) for line in lines[1:]]
        whole = [(line, int(row[header.index("step")])) for line, row in cells if len(row) == len(header) and row[0]]
        write_atomic(path, lines[0] + "".join(line for line, step in whole if step <= start))
