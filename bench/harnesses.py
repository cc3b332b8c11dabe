"""`make bench-harnesses`: figures of `pargo score --as` against those of the real packages, on files of full size.

The packages are installed from the package index into an environment of their own, which takes torch and the like from
this one. Each draw makes answers of mixed styles to five benchmarks; every figure of both sides is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import harness_files
from pargo.benchmarks.harnesses import HARNESSES, harness_record
from pargo.benchmarks.records import PREDICTIONS, Answered, Prediction, write_predictions
from pargo.benchmarks.scores.score import score_files
from pargo.files import write_atomic

OUTPUT = Path("reports/bench")
ENVIRONMENT = Path("build/harnesses")
PINS = Path(__file__).with_name("harnesses.txt")
REAL = Path(__file__).with_name("harness_real.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--sources", type=Path, help="VLMEvalKit checked out at e8e78f05; its figures are compared too")
    parser.add_argument("--only", help="one benchmark")
    parser.add_argument("--record", type=Path, help="only write the figures of every style, which the tests read")
    arguments = parser.parse_args()
    python = environment()
    runs: dict[str, Path | None] = {"lmms-eval": None, "vlmevalkit": None}
    if arguments.sources:
        runs["vlmevalkit-2026-08"] = arguments.sources
    if arguments.record:
        record_cases(python, runs, arguments.record)
        return
    rows: list[dict[str, Any]] = []
    today = time.strftime("%Y-%m-%d")
    for draw in range(arguments.draws):
        with tempfile.TemporaryDirectory() as folder:
            inputs, tables = write_files(Path(folder), draw, arguments.only)
            for harness, sources in runs.items():
                real = run_real(python, harness, tables, Path(folder), sources)
                for name, paths in inputs.items():
                    row = {"tool": HARNESSES[harness][0], "benchmark": name, "draw": draw, "time": today}
                    rows.append(row | compare(harness, name, paths, real))
                    Console().print(f"draw {draw}, {harness}, {name}: {rows[-1]['equal']} of {rows[-1]['compared']}")
    path = OUTPUT / "harnesses.json"
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    record = {
        "packages": [line for line in PINS.read_text(encoding="utf-8").split("\n") if "==" in line],
        "rows": merge(before, rows),
    }
    write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    write_atomic(OUTPUT / "harnesses.md", text := render(record))
    Console(soft_wrap=True, highlight=False).print(text, markup=False)


def merge(before: Iterable[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """New rows in the place of those of the same tool and benchmark; the others stay, with the day of their run.

    Rows of versions that `--as` no longer follows are left out.
    """
    new = {(row["tool"], row["benchmark"]) for row in rows}
    kept = [row for row in before if (row["tool"], row["benchmark"]) not in new]
    tools = [tool for tool, _ in HARNESSES.values()]
    found = [row for row in (*rows, *kept) if row["tool"] in tools]
    return sorted(found, key=lambda row: tools.index(row["tool"]))  # stable


def environment() -> Path:
    """The Python that has the packages; installed anew when their list changes."""
    stamp = ENVIRONMENT / "pins.txt"
    if not stamp.exists() or stamp.read_bytes() != PINS.read_bytes():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        python = ENVIRONMENT / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", PINS], check=True)
        folder = next((ENVIRONMENT / "lib").glob("python*/site-packages"))
        (folder / "zz_project.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
        stamp.write_bytes(PINS.read_bytes())
    return (ENVIRONMENT / "bin" / "python").absolute()


def write_files(folder: Path, draw: int, only: str | None) -> tuple[dict[str, list[Path]], Path]:
    """What `pargo score` takes, by benchmark, and the same answers as rows for the packages."""
    made: dict[str, list[Prediction]] = {
        name: list(getattr(harness_files, name)(random.Random(f"{name} {draw}")))
        for name in ("mme", "pope", "seedbench", "mmbench")
    }
    made["mmbench cn"] = list(harness_files.mmbench(random.Random(f"cn {draw}"), harness_files.CHINESE))
    inputs, tables = {}, {}
    for name, predictions in made.items():
        directory = folder / name
        directory.mkdir()
        write_predictions(directory / PREDICTIONS, predictions)
        inputs[name] = [directory]
        tables[name] = table(name, predictions)
    graded = harness_files.mmvet(random.Random(draw))
    meta = {
        name: {"imagename": f"{name}.png", "question": "What?", "answer": "it", "capability": own.split(",")}
        for name, own, _ in graded
    }
    inputs["mmvet"] = [folder / "mm-vet.json", folder / "grades.json"]
    inputs["mmvet"][0].write_text(json.dumps(meta), encoding="utf-8")
    inputs["mmvet"][1].write_text(json.dumps({name: grade for name, _, grade in graded}), encoding="utf-8")
    tables["mmvet"] = [
        {"prediction": "x", "category": ",".join(sorted(own.split(","))), "score": grade} for _, own, grade in graded
    ]
    if only:
        inputs, tables = ({name: part[name] for name in part if only in name} for part in (inputs, tables))
    path = folder / "tables.json"
    path.write_text(json.dumps(tables), encoding="utf-8")
    return inputs, path


def table(name: str, predictions: Sequence[Answered]) -> list[dict[str, Any]]:
    """Answers as the packages' own tables have them."""
    return [
        {
            "index": index if name in ("mme", "pope") else int(item.id),
            "image": item.image,
            "question": item.question,
            "answer": item.label.capitalize(),
            "category": item.task,
            "prediction": item.answer,
            **item.options,
            **({"l2-category": item.details["l2-category"], "split": "dev"} if "mmbench" in name else {}),
        }
        for index, item in enumerate(predictions)
    ]


def run_real(
    python: Path, harness: str, tables: Path, folder: Path, sources: Path | None
) -> dict[str, dict[str, float]]:
    """The packages' figures by benchmark, from a process of their own."""
    target = folder / f"{harness}.json"
    tool = "lmms-eval" if harness == "lmms-eval" else "vlmevalkit"
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PRED_FORMAT", "VERBOSE")}
    if sources:
        variables["PYTHONPATH"] = str(sources.absolute())
    log = folder / f"{harness}.log"
    with log.open("w") as stream:
        done = subprocess.run(
            [python, "-P", REAL.absolute(), tool, tables, target],
            cwd=folder,
            env=variables,
            stdout=stream,
            stderr=stream,
        )
    if done.returncode:
        sys.exit(f"{harness} failed:\n{log.read_text(errors='replace')[-3000:]}")
    return json.loads(target.read_text(encoding="utf-8"))


def compare(harness: str, name: str, paths: list[Path], real: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Counts of figures, and each that differs: {figure: [real, by --as]}."""
    record = score_files(name.partition(" ")[0], paths, samples=1)
    figures = {key: value.theirs for key, value in harness_record(harness, paths, record).figures.items()}
    # lmms-eval logs MM-Vet's parts with two decimals
    decimals = 2 if harness == "lmms-eval" and name == "mmvet" else None
    keys = list(dict.fromkeys([*real[name], *figures]))
    unequal = {
        key: [real[name].get(key), figures.get(key)]
        for key in keys
        if not _equal(real[name].get(key), figures.get(key), decimals)
    }
    return {
        "answers": sum(1 for _ in _lines(paths)),
        "compared": len(keys),
        "equal": len(keys) - len(unequal),
        "differences": unequal,
    }


def _equal(real: float | None, own: float | None, decimals: int | None) -> bool:
    if real is None or own is None:
        return False
    return f"{own:.{decimals}f}" == f"{real:.{decimals}f}" if decimals else abs(real - own) <= 1e-9 * max(1, abs(real))


def _lines(paths: list[Path]) -> Iterable[Any]:
    if paths[0].is_dir():
        return (paths[0] / PREDICTIONS).read_text(encoding="utf-8").rstrip("\n").split("\n")
    return json.loads(paths[1].read_text(encoding="utf-8"))


def record_cases(python: Path, runs: dict[str, Path | None], path: Path) -> None:
    """Write {case: {answers, figures by harness}}: each style of an answer once or twice, under a name of its own."""
    cases = harness_files.cases()
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / "tables.json"
        tables.write_text(json.dumps({name: table(name, answers) for name, answers in cases.items()}), encoding="utf-8")
        real = {harness: run_real(python, harness, tables, Path(folder), sources) for harness, sources in runs.items()}
    record = {
        "tools": {harness: HARNESSES[harness][0] for harness in runs},
        "cases": {
            name: {
                "answers": [answer.model_dump(exclude_defaults=True) for answer in answers],
                "figures": {harness: figures[name] for harness, figures in real.items()},
            }
            for name, answers in cases.items()
        },
    }
    write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def render(record: dict[str, Any]) -> str:
    lines = [
        "# Figures of other harnesses\n",
        "`make bench-harnesses`: answers of mixed styles, drawn at random, to files of full size; the scoring code "
        "of the package and `pargo score --as` on the same answers. No judge is asked; MM-Vet's grades are drawn. "
        "Checked-out sources of VLMEvalKit take part with `python -m bench.harnesses --sources DIR`; rows of "
        "what took no part stay from the day they were run.\n",
        "| tool | benchmark | answers a draw | draws | figures compared | equal | run |",
        "|:---|:---|---:|---:|---:|---:|:---|",
    ]
    keys = dict.fromkeys((row["tool"], row["benchmark"]) for row in record["rows"])
    for tool, name in keys:
        own = [row for row in record["rows"] if (row["tool"], row["benchmark"]) == (tool, name)]
        compared, equal = (sum(row[key] for row in own) for key in ("compared", "equal"))
        lines.append(
            f"| {tool} | {name} | {own[0]['answers']:,} | {len(own)} | {compared} | {equal} | {own[0]['time']} |"
        )
    unequal = [
        f"- {row['tool']}, {row['benchmark']}, draw {row['draw']}: {key} is {real}, by `--as` {own}"
        for row in record["rows"]
        for key, (real, own) in row["differences"].items()
    ]
    lines += ["", f"Differences: {len(unequal)}.", *unequal]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


if __name__ == "__main__":
    main()
