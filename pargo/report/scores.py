"""The score files of a report, complete and by arm, benchmark and seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pargo.benchmarks.scores.score_file import read_score
from pargo.benchmarks.scores.score_record import ScoreRecord
from pargo.errors import PargoError
from pargo.layout import seed_of
from pargo.report.settings import ReportSettings


@dataclass(frozen=True, eq=False)  # one object a file: what is computed of it is kept by it
class Score:
    """One score file: `path` is .../<arm>/seed-<n>/<benchmark>.json, `record` its content."""

    arm: str
    seed: int
    benchmark: str
    path: Path
    record: ScoreRecord


class Scores:
    """All scores of a config; `scores[arm, benchmark]` are those of its seeds, in the config's order."""

    def __init__(self, settings: ReportSettings, paths: Iterable[Path]) -> None:
        """Read the files.

        Raises:
            PargoError: a score of the config is missing, is given twice, is none of the config's, or no whole file.
        """
        found: dict[tuple[str, int, str], Score] = {}
        for path in sorted(paths):
            score = _read(path)
            key = (score.arm, score.seed, score.benchmark)
            if key in found:
                raise PargoError(f"{path} and {found[key].path} are both scores of {_words(key)}")
            found[key] = score
        wanted = [
            (arm, seed, benchmark)
            for arm in settings.projectors
            for seed in settings.seeds
            for benchmark in settings.benchmarks
        ]
        if missing := [_words(key) for key in wanted if key not in found]:
            raise PargoError(f"scores are missing for {'; '.join(missing)}")
        if extra := sorted(str(found[key].path) for key in found.keys() - set(wanted)):
            raise PargoError(f"not scores of config {settings.config!r}: {', '.join(extra)}")
        self._scores = {key: found[key] for key in wanted}
        self._seeds = settings.seeds

    def __getitem__(self, key: tuple[str, str]) -> list[Score]:
        arm, benchmark = key
        return [self._scores[arm, seed, benchmark] for seed in self._seeds]

    def example(self, benchmark: str) -> Score:
        """One of a benchmark, for what is the same in all of them: tasks, images, baselines."""
        return next(score for score in self if score.benchmark == benchmark)

    def __iter__(self) -> Iterator[Score]:
        return iter(self._scores.values())


def _read(path: Path) -> Score:
    seed = seed_of(path.parent)
    if seed is None:
        raise PargoError(f"{path}: expected .../<arm>/seed-<n>/<benchmark>.json")
    return Score(path.parent.parent.name, seed, path.stem, path, read_score(path).record)


def _words(key: tuple[str, int, str]) -> str:
    return f"arm {key[0]}, seed {key[1]}, benchmark {key[2]}"
