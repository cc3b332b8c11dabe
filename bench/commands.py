"""Time from a wrong argument to its error, for every command: this code against an older commit, in paired calls.

    python -m bench.commands [--base COMMIT] [--rounds 3]

Writes reports/bench/commands.json and .md. Wall time and CPU time (user and system) of the whole process; ratios
are ours divided by the base's call just before it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Ratio
from pargo.code import ROOT
from pargo.machine import hardware
from tests.helpers.wrong_arguments import cases, make_files

BASE = "16c3027"  # before arguments were checked first
LIMIT = 0.2  # of the base's time
SLOW = 2.0  # CPU seconds
SECONDS = 180.0  # a call that takes longer is stopped


def call(root: Path, arguments: list[str], folder: Path) -> tuple[float, float, int | None]:
    """Wall and CPU seconds, and exit code (None: stopped) of one call in a project's folder."""
    environment = os.environ | {"PYTHONPATH": str(root), "XDG_CACHE_HOME": str(folder / "cache")}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    try:
        command = [sys.executable, "-m", "pargo", *arguments]
        code: int | None = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, timeout=SECONDS
        ).returncode
    except subprocess.TimeoutExpired:
        code = None
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in ("out", "run"):  # what an older version left
        shutil.rmtree(root / name, ignore_errors=True)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, code


def runs_at_base(arguments: list[str]) -> bool:
    """The older version takes it for no error, and runs everything."""
    return arguments[:2] == ["reproduce", "--profile"]


def measure(base: Path, rounds: int, write: Any) -> None:
    folder = Path(tempfile.mkdtemp())
    make_files(folder)
    asked = cases(folder)
    results: list[dict[str, Any]] = [
        {"arguments": [part.replace(str(folder), "FILES") for part in arguments], "base": [], "ours": []}
        for arguments, _ in asked
    ]
    call(ROOT, ["--help"], folder), call(base, ["--help"], folder)
    for number in range(rounds):
        for (arguments, _), result in zip(asked, results, strict=True):
            if not runs_at_base(arguments):
                result["base"].append(call(base, arguments, folder))
            result["ours"].append(call(ROOT, arguments, folder))
            write([one for one in results if one["ours"]], number + 1)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    shutil.rmtree(folder)


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Medians, ratios and exit codes of one call."""
    ours, base = result["ours"], result["base"]
    found = {
        "call": " ".join(result["arguments"]),
        "wall": median(one[0] for one in ours),
        "cpu": median(one[1] for one in ours),
        "code": ours[-1][2],
    }
    if base:
        found |= {
            "base_wall": median(one[0] for one in base),
            "base_cpu": median(one[1] for one in base),
            "base_code": base[-1][2],
        }
        for index, name in enumerate(("wall_ratio", "cpu_ratio")):
            ratio = Ratio.of([one[index] for one in ours], [one[index] for one in base])
            found[name] = {"value": ratio.value, "low": ratio.low, "high": ratio.high}
    return found


@cache
def _click() -> float:
    """CPU seconds of a Python that imports click and ends."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import click"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(times)


def render(found: list[dict[str, Any]], rounds: int, base: str) -> str:
    """A table by command: its slowest call, and the codes."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        words = one["call"].split()
        name = " ".join(words[:2]) if words[0] in ("data", "report", "versions", "config") else words[0]
        groups[name].append(one)
    compared = [one for one in found if "base_wall" in one]
    within = sum(one["cpu_ratio"]["value"] <= LIMIT for one in compared)
    slow = [one for one in compared if one["base_cpu"] > SLOW]
    slow_within = sum(one["cpu_ratio"]["value"] <= LIMIT for one in slow)
    lines = [
        "# From a wrong argument to its error",
        "",
        f"Written by `make bench-commands`: {len(found)} wrong calls of all commands "
        f"(`tests/helpers/wrong_arguments.py`), {rounds} round{'s' if rounds > 1 else ''}, this "
        f"code against {base} in paired calls on {hardware()}. "
        "Seconds are medians of the whole process, the slowest call of each command; ratios are ours divided by "
        f"{base}'s, the largest of each command.",
        "",
        f"{within} of {len(compared)} calls take at most 1/5 of the CPU time, among them {slow_within} of the "
        f"{len(slow)} that took more than {SLOW:g} s of it; now at most {max(one['cpu'] for one in found):.2f} s each. "
        f"A Python that imports click and ends takes {_click():.2f} s (median of 5): what took less than five times "
        "that before cannot come down to 1/5.",
        "",
        "| command | calls | before: CPU s | wall s | exit codes | now: CPU s | wall s | exit codes "
        "| CPU ratio | wall ratio |",
        "|---|---:|---:|---:|---|---:|---:|---|---:|---:|",
    ]
    for name, ones in groups.items():
        old = [one for one in ones if "base_wall" in one]
        codes = [
            ", ".join(sorted({str(one[key]) for one in some})) for key, some in (("base_code", old), ("code", ones))
        ]
        before = [f"{max(one[key] for one in old):.2f}" for key in ("base_cpu", "base_wall")] if old else ["", ""]
        now = [f"{max(one[key] for one in ones):.2f}" for key in ("cpu", "wall")]
        ratios = [f"{max(one[key]['value'] for one in old):.2f}" if old else "" for key in ("cpu_ratio", "wall_ratio")]
        cells = [name, str(len(ones)), *before, codes[0], *now, codes[1], *ratios]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"`reproduce --profile NOSUCH` is not timed at {base}: it ran everything there, on this machine.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=BASE)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    output = ROOT / "reports" / "bench"

    def write(results: list[dict[str, Any]], rounds: int) -> None:
        found = [summary(result) for result in results]
        record = {"base": options.base, "rounds": rounds, "hardware": hardware(), "calls": found}
        (output / "commands.json").write_text(json.dumps(record, indent=1) + "\n")
        (output / "commands.md").write_text(render(found, rounds, options.base))

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(base), options.base], cwd=ROOT, check=True)
        try:
            measure(base, options.rounds, write)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(base)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
