"""CPU time of `pargo versions status` beside a record of the paper's size: this code against an older commit.

    python -m bench.versions [--base COMMIT] [--rounds 3] [--megabytes 5]

Writes reports/bench/versions.json and .md. dvc.lock, dvc.yaml and dvc-params.json hold, besides micro's stages, so many
copies of them under names of other configs that dvc.lock has that size; artifacts are in neither checkout, as in a
clone. CPU time (user and system) is of the whole process; ratios are ours divided by the base's call just before it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from bench.measure import Ratio
from pargo.code import ROOT
from pargo.machine import hardware

BASE = "468f89d"  # before what is up to date was decided by what made it
LIMIT = 0.1  # of the base's CPU time
CONFIG = "config/micro.yaml"
STATUS = ("versions", "status", "--config", CONFIG)


def call(root: Path, *arguments: str) -> tuple[float, float, str]:
    """Wall and CPU seconds, and what is printed, of one call in a checkout, which differs from its record."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pargo", *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1 or "Traceback" in done.stderr or (done.returncode and not done.stdout):
        raise SystemExit(f"{root}: pargo {' '.join(arguments)}: {done.stderr or done.stdout}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def checkout(commit: str, target: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(target)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "--detach", commit], cwd=target, check=True)


def write_record(root: Path, megabytes: float) -> dict[str, float]:
    """Fill the record of a checkout; how large it is then."""
    for name in ("dvc.yaml", "dvc.lock", "dvc-params.json"):
        (root / name).unlink(missing_ok=True)
    call(root, "versions", "write", "--config", CONFIG)
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    params = json.loads((root / "dvc-params.json").read_text())
    lock = {name: recorded(name, stage, params) for name, stage in stages.items()}
    copies = round(megabytes * 1e6 / len(dump(lock)))
    others = sorted(f"paper{number}" for number in range(copies))
    for path, entries in (("dvc.yaml", stages), ("dvc.lock", lock), ("dvc-params.json", params)):
        if path.endswith(".json"):
            every = dict(entries)
            for other in others:
                every |= json.loads(json.dumps(entries).replace("micro", other))
            (root / path).write_text(json.dumps(every, indent=1, ensure_ascii=False) + "\n")
        else:
            text = (root / path).read_text() if path == "dvc.yaml" else dump({"schema": "2.0", "stages": entries})
            head, _, body = text.partition("stages:\n")
            (root / path).write_text(head + "stages:\n" + body + "".join(body.replace("micro", x) for x in others))
    sizes = {path: (root / path).stat().st_size / 1e6 for path in ("dvc.lock", "dvc.yaml", "dvc-params.json")}
    return {**sizes, "stages": len(lock) * (copies + 1)}


def recorded(name: str, stage: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """An entry of dvc.lock as after a run, with made-up hashes of files."""
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    held = {}
    for file, keys in (entry for each in stage["params"] for entry in each.items()):
        values = {key: params[name][key.removeprefix(f"{name}.")] if key != name else params[name] for key in keys}
        held[file] = values
    return {
        "cmd": stage["cmd"],
        "deps": [entry(path) for path in stage["deps"]],
        "params": held,
        "outs": [entry(path) for path in outs],
    }


def entry(path: str) -> dict[str, Any]:
    whole = {"path": path, "hash": "md5", "md5": "0123456789abcdef" * 2, "size": 123456}
    return whole if Path(path).suffix else whole | {"md5": whole["md5"] + ".dir", "nfiles": 12}


def dump(value: Any) -> str:
    return yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, width=10**6)


def render(record: dict[str, Any]) -> str:
    ratio, size, calls = record["ratio"], record["size"], record["calls"]
    rows = [
        f"| {name} | {median(one['cpu'] for one in calls[key]):.1f} | {median(one['wall'] for one in calls[key]):.1f} "
        f"| {calls[key][-1]['lines']} |"
        for key, name in (("base", record["base"]), ("ours", "this code"))
    ]
    return "\n".join(
        [
            "# `pargo versions status` beside a record of the paper's size",
            "",
            f"Written by `make bench-versions`: {record['rounds']} rounds of paired calls on {record['hardware']}. "
            f"The record has {size['stages']:,} stages: {size['dvc.lock']:.1f} MB of dvc.lock, "
            f"{size['dvc.yaml']:.1f} MB of dvc.yaml and {size['dvc-params.json']:.1f} MB of dvc-params.json. Asked is "
            "for micro's 28, whose artifacts are not there. Seconds are medians of the whole process.",
            "",
            f"CPU time: {ratio['value']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}] of {record['base']}'s "
            f"(wanted: at most {LIMIT}).",
            "",
            "| | CPU s | wall s | lines printed |",
            "|---|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=5)
    options = parser.parse_args()
    output = ROOT / "reports" / "bench"
    with tempfile.TemporaryDirectory() as folder:
        roots = {"base": Path(folder) / "base", "ours": Path(folder) / "ours"}
        for key, commit in (("base", options.base), ("ours", "HEAD")):
            checkout(commit, roots[key])
            size = write_record(roots[key], options.megabytes)
        calls: dict[str, list[dict[str, Any]]] = {"base": [], "ours": []}
        for number in range(options.rounds):
            for key, root in roots.items():
                wall, cpu, text = call(root, *STATUS)
                calls[key].append({"wall": wall, "cpu": cpu, "lines": len(text.splitlines())})
                print(f"round {number + 1}: {key}: {cpu:.1f} s CPU, {wall:.1f} s", file=sys.stderr)
    found = Ratio.of([one["cpu"] for one in calls["ours"]], [one["cpu"] for one in calls["base"]])
    record = {
        "base": options.base,
        "rounds": options.rounds,
        "hardware": hardware(),
        "size": size,
        "ratio": {"value": found.value, "low": found.low, "high": found.high},
        "calls": calls,
    }
    (output / "versions.json").write_text(json.dumps(record, indent=1) + "\n")
    (output / "versions.md").write_text(render(record))


if __name__ == "__main__":
    main()
