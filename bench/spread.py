"""How much the scores of config/quick.yaml differ from training seed to training seed: an older commit, and this one.

    python -m bench.spread --seeds 0 1 2 3 4 [--commit 16c3027]

Trains and asks ParGo and the Q-Former on mini-MME with each seed, by the code and the recipe of a commit (by default
this checkout's, where what quick made is found again), and writes reports/bench/spread.json and .md. A row for each
commit, arm and seed; rows that are there are kept, so that seeds may be added in several sittings: the older recipe
takes some 45 minutes a seed on two cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from pargo.code import ROOT
from pargo.layout import Layout
from pargo.machine import hardware

NAME, BENCHMARK = "spread", "mini_mme"
ARMS = ("pargo", "qformer")
WORK = ROOT / "runs" / NAME
RECORD = ROOT / "reports/bench/spread.json"


def clone(commit: str, target: Path) -> None:
    """Clone this repository into a new folder, at a commit."""
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(target)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=target, check=True)


def scores(root: Path, seeds: list[int], cores: int) -> list[dict[str, Any]]:
    """Train and ask the models of some seeds in a checkout; a row for each."""
    data = yaml.safe_load((root / "config/quick.yaml").read_text(encoding="utf-8"))
    data |= {"name": NAME, "seeds": seeds, "benchmarks": {BENCHMARK: data["benchmarks"][BENCHMARK]}}
    path = root / "runs" / NAME / "spread.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "pargo", "reproduce", "--config", str(path), "--cores", str(cores)]
    subprocess.run([*command, "--until", "score"], cwd=root, check=True)
    layout, rows = Layout(NAME, root), []
    for arm in ARMS:
        for seed in seeds:
            found = json.loads(layout.score(arm, seed, BENCHMARK).read_text(encoding="utf-8"))
            tasks = {task: part["score"] for task, part in found["tasks"].items()}
            rows.append({"arm": arm, "seed": seed, "total": found["headline"]["value"], "tasks": tasks})
    return rows


def spread(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over seeds, of each arm and of the difference of both on the same seed."""
    totals = {(row["arm"], row["seed"]): row["total"] for row in rows}
    seeds = sorted({seed for _, seed in totals if all((arm, seed) in totals for arm in ARMS)})
    values = {arm: [totals[arm, seed] for seed in seeds] for arm in ARMS}
    values["difference"] = [totals[ARMS[0], seed] - totals[ARMS[1], seed] for seed in seeds]
    several = len(seeds) > 1
    return {
        "seeds": seeds,
        **{name: {"mean": mean(part), "sd": stdev(part) if several else None} for name, part in values.items() if part},
    }


def render(record: dict[str, Any]) -> str:
    lines = []
    for commit, of in record["commits"].items():
        found = spread(of["rows"])
        cells = [_cell(found[name]) for name in (*ARMS, "difference")]
        lines.append(f"| {commit} | {len(found['seeds'])} | {' | '.join(cells)} |")
    seeds = [
        f"- {commit} ({of['hardware']}): "
        + "; ".join(f"{row['arm']} seed {row['seed']} {row['total']:.0f}" for row in of["rows"])
        for commit, of in record["commits"].items()
    ]
    return "\n".join(
        [
            "# Spread of quick's scores over training seeds",
            "",
            "Written by `python -m bench.spread`. mini-MME totals (of 1000) of quick's recipe at each commit, mean ± "
            "standard deviation over n training seeds; the difference is ParGo minus Q-Former with the same seed.",
            "",
            "| commit | n | ParGo | Q-Former | difference |",
            "|---|---:|---:|---:|---:|",
            *lines,
            "",
            *seeds,
            "",
        ]
    )


def _cell(found: dict[str, float | None]) -> str:
    return f"{found['mean']:.0f}" + ("" if found["sd"] is None else f" ± {found['sd']:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--commit", help="an older commit; by default this checkout as it is")
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    root = WORK / options.commit if options.commit else ROOT
    if not root.exists():
        clone(options.commit, root)
    commit = (
        options.commit
        or subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.strip()
    )
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"commits": {}}
    of = record["commits"].setdefault(commit, {"hardware": hardware(), "rows": []})
    made = scores(root, options.seeds, options.cores)
    new = {(row["arm"], row["seed"]) for row in made}
    of["rows"] = sorted(
        [row for row in of["rows"] if (row["arm"], row["seed"]) not in new] + made,
        key=lambda row: (row["arm"], row["seed"]),
    )
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    RECORD.with_suffix(".md").write_text(render(record), encoding="utf-8")


if __name__ == "__main__":
    main()
