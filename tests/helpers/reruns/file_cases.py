"""Changes of what was made, of times, of git and of the environment: what no person wrote into config or code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.reruns.case import MICRO, Case, kept_as_they_were
from tests.helpers.reruns.config_cases import changed

A, R = "artifacts/micro", "reports/micro"
MADE, TIMES, GIT, ENVIRONMENT = "artifacts and reports", "times", "git and folders", "environment"


def touching(*paths: str) -> Callable[[Callable[[Path], object]], Callable[[Path], Any]]:
    """A change of these files and folders, which are put back afterwards."""

    def decorate(change: Callable[[Path], object]) -> Callable[[Path], Any]:
        @contextmanager
        def make(root: Path) -> Iterator[str]:
            with kept_as_they_were(root, *paths):
                change(root)
                yield MICRO

        return make

    return decorate


def edited(path: str) -> Any:
    """One byte is another, the size is the same."""

    def change(root: Path) -> None:
        data = bytearray((root / path).read_bytes())
        data[len(data) // 2] ^= 1
        (root / path).write_bytes(bytes(data))

    return touching(path)(change)


def truncated(path: str) -> Any:
    """Its last byte is gone."""
    return touching(path)(lambda root: (root / path).write_bytes((root / path).read_bytes()[:-1]))


def no_json(path: str) -> Any:
    """A record that was cut off."""
    return touching(path)(lambda root: (root / path).write_text("{"))


def deleted(*paths: str) -> Any:
    """Files or folders are gone."""

    def change(root: Path) -> None:
        for path in paths:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()

    return touching(*paths)(change)


def added(path: str) -> Any:
    """A file more."""
    return touching(path)(lambda root: (root / path).write_text("more"))


def with_times(find: Callable[[Path], list[Path]], time: float) -> Any:
    """The times of files are others."""

    @contextmanager
    def make(root: Path) -> Iterator[str]:
        before = {path: path.stat() for path in find(root)}
        assert before
        for path in before:
            os.utime(path, (time, time))
        try:
            yield MICRO
        finally:
            for path, found in before.items():
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    return make


def older(path: str, text: str) -> Any:
    """Another content with an older time, as `mv`, `cp -p`, `rsync -t` or `tar` leave it."""

    def change(root: Path) -> None:
        (root / path).write_text((root / path).read_text() + text)
        os.utime(root / path, (1e9, 1e9))

    return touching(path)(change)


def below(*tops: str) -> Callable[[Path], list[Path]]:
    """All files below some folders."""
    return lambda root: [path for top in tops for path in (root / top).rglob("*") if path.is_file()]


@contextmanager
def checked_out_to_and_fro(root: Path) -> Iterator[str]:
    """Another branch with other code and config, and back: all files that differ have new times."""

    def git(*words: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True)

    head = subprocess.run(
        ["git", "rev-parse", "--abbrev-ref", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
    git("checkout", "--quiet", "-b", "another")
    for name in ("pargo/train/loop.py", "pargo/report/figures.py"):
        (root / name).write_text((root / name).read_text() + "\nA_CHANGE = 1\n")
    git("commit", "--quiet", "--all", "--message", "another")
    git("checkout", "--quiet", head)
    git("branch", "--quiet", "-D", "another")
    yield MICRO


def with_torch(*outputs: str) -> Any:
    """Another torch computed something, as its record says."""
    records = [f"{output}/run.json" for output in outputs]

    def change(root: Path) -> None:
        for record in records:
            data = json.loads((root / record).read_text())
            data["versions"]["torch"] = "0.0.1"
            (root / record).write_text(json.dumps(data))

    return touching(*records)(change)


def with_config(make: Any, **values: Any) -> Any:
    """A change, and fields of the config; their paths have `__` between the parts."""

    @contextmanager
    def both(root: Path) -> Iterator[str]:
        with make(root), changed({path.replace("__", "."): value for path, value in values.items()})(root) as config:
            yield config

    return both


def made(change: str, make: Any, would: str = "", **how: Any) -> Case:
    return Case(MADE, change, make, would, **how)


def cases() -> list[Case]:
    """All of them."""
    model, predictions = f"{A}/models/qformer/seed-0", f"{A}/predictions/pargo/seed-0/mini_mme"
    score, scored = f"{R}/scores/pargo/seed-0/mini_mme.json", "score-pargo-seed-0-mini_mme"
    return [
        made("captions edited by hand", edited(f"{A}/captions/scenes/captions.jsonl"), "filter-scenes"),
        made("captions truncated", truncated(f"{A}/captions/scenes/captions.jsonl"), "filter-scenes"),
        made("a caption file more", added(f"{A}/captions/scenes/more.jsonl"), "filter-scenes"),
        made(
            "captions and their manifest deleted",
            deleted(f"{A}/captions/scenes", f"{A}/captions/scenes.manifest.json"),
            "filter-scenes",
        ),
        made("the manifest of captions deleted", deleted(f"{A}/captions/scenes.manifest.json"), "filter-scenes"),
        made("the provenance of captions deleted", deleted(f"{A}/captions/scenes/provenance.json"), "filter-scenes"),
        made("run.json of captions deleted", deleted(f"{A}/captions/scenes/run.json")),
        made(
            "raw captions deleted, the manifest is here",
            deleted(f"{A}/raw_captions/scenes"),
            restorable="caption-scenes",
        ),
        made("a model truncated", truncated(f"{model}/finetune/model.safetensors"), "finetune-qformer-seed-0"),
        made("a bit of a model flipped", edited(f"{model}/finetune/model.safetensors"), "finetune-qformer-seed-0"),
        made(
            "a bit of a pretrained model flipped",
            edited(f"{model}/pretrain/model.safetensors"),
            "pretrain-qformer-seed-0",
        ),
        made("a file of a model deleted", deleted(f"{model}/finetune/model.safetensors"), "finetune-qformer-seed-0"),
        made("the manifest of a model deleted", deleted(f"{model}/pretrain.manifest.json"), "pretrain-qformer-seed-0"),
        made("a manifest that is no JSON", no_json(f"{model}/finetune.manifest.json"), "finetune-qformer-seed-0"),
        made(
            "the features of a split deleted", deleted(f"{A}/features/scenes-train"), restorable="features-scenes-train"
        ),
        made("the images of a source deleted", deleted(f"{A}/sources/scenes"), restorable="download-scenes"),
        made(
            "a fingerprint edited",
            edited(f"{A}/fingerprints/scenes-train/fingerprints.parquet"),
            "fingerprint-scenes-train",
        ),
        made("a selection edited", edited(f"{A}/selection/scenes/selected.parquet"), "select-scenes"),
        made("answers edited", edited(f"{predictions}/predictions.jsonl"), "evaluate-pargo-seed-0-mini_mme"),
        made("answers deleted", deleted(predictions), restorable="evaluate-pargo-seed-0-mini_mme"),
        made(
            "the attention of a model deleted",
            deleted(f"{A}/attention/pargo/seed-0"),
            restorable="attention-pargo-seed-0",
        ),
        made("a score edited", edited(score), scored),
        made("a score deleted", deleted(score), scored),
        made("the record of a score deleted", deleted(f"{score}.made"), scored),
        made("the costs of trainings edited", edited(f"{R}/training.json"), "report_training"),
        made("answers side by side deleted", deleted(f"{R}/answers"), "report_answers"),
        made("a table edited", edited(f"{R}/tables/cells.json"), "report_tables"),
        made("a table deleted", deleted(f"{R}/tables/cells.json"), "report_tables"),
        made("a figure edited", edited(f"{R}/figures/loss.svg"), "report_figures"),
        made("the figures deleted", deleted(f"{R}/figures"), "report_figures"),
        made("the page edited", edited(f"{R}/index.html"), "report_page"),
        made("the page deleted", deleted(f"{R}/index.html"), "report_page"),
        made("the record of the page is no JSON", no_json(f"{R}/index.html.made"), "report_page"),
        made("the card of captions edited", edited(f"{R}/captions/scenes/README.md"), "report_captions-scenes"),
        made("all artifacts and reports deleted", deleted(A, R), "*"),
        Case(TIMES, "all artifacts and reports with old times", with_times(below(A, R), 1e9)),
        Case(TIMES, "all artifacts and reports with times in the future", with_times(below(A, R), 4e9)),
        Case(TIMES, "all code with new times", with_times(below("pargo"), 4e9), cold=True),
        Case(TIMES, "the config with a new time", with_times(lambda root: [root / MICRO], 4e9)),
        Case(TIMES, "one source file touched", with_times(lambda root: [root / "pargo/train/loop.py"], 4e9), cold=True),
        Case(
            TIMES, "one manifest touched", with_times(lambda root: [root / f"{A}/captions/scenes.manifest.json"], 4e9)
        ),
        Case(
            TIMES,
            "another `train/loop.py` with an older time",
            older("pargo/train/loop.py", "A = 1\n"),
            "pretrain-* finetune-*",
            cold=True,
        ),
        Case(
            TIMES,
            "another `report/figures.py` with an older time",
            older("pargo/report/figures.py", "A = 1\n"),
            "report_figures",
            cold=True,
        ),
        Case(
            TIMES,
            "other captions with an older time",
            older(f"{A}/captions/scenes/captions.jsonl", "{}\n"),
            "filter-scenes",
        ),
        Case(TIMES, "another score with an older time", older(score, " "), scored),
        Case(GIT, "another branch checked out, and back", checked_out_to_and_fro, cold=True),
        Case(GIT, "`.snakemake` deleted", deleted(".snakemake")),
        Case(
            GIT,
            "`.snakemake` deleted, and `sources.scenes.seed`: 8",
            with_config(deleted(".snakemake"), sources__scenes__seed=8),
            "download-scenes",
        ),
        Case(
            GIT,
            "`.snakemake` deleted, and `base.finetune.learning_rate`: 0.01",
            with_config(deleted(".snakemake"), base__finetune__learning_rate=0.01),
            "finetune-*",
        ),
        Case(GIT, "`runs` deleted", deleted("runs")),
        Case(GIT, "`.pargo` deleted", deleted(".pargo"), cold=True),
        Case(GIT, "`dvc.lock` and `dvc.yaml` deleted", deleted("dvc.lock", "dvc.yaml")),
        Case(
            GIT,
            "README and tests edited",
            touching("README.md", "tests/conftest.py")(
                lambda root: [(root / name).write_text("") for name in ("README.md", "tests/conftest.py")]
            ),
        ),
        Case(
            ENVIRONMENT,
            "another torch computed two models",
            with_torch(f"{model}/pretrain", f"{model}/finetune"),
            note="`pargo status` says so",
        ),
        Case(
            ENVIRONMENT,
            "the same, and `strict: true`",
            with_config(with_torch(f"{model}/pretrain"), strict=True),
            "pretrain-qformer-seed-0",
        ),
        Case(
            ENVIRONMENT,
            "another version in `requirements.lock`",
            touching("requirements.lock")(lambda root: (root / "requirements.lock").write_text("torch==0.0.1\n")),
            note="what computed a thing is in its own record",
        ),
    ]
