"""`make bench-reruns`: random edits, damage, kills and reruns of micro, after which the tables must be those of a run
from nothing.

A round changes the config or the code (or changes it back), damages what is there, runs `pargo reproduce`, which is
killed in half of the rounds, and runs it again to its end. Tables, scores and manifests are then compared, byte for
byte, with those of a run of the same config and code from nothing. It stops at the first difference.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml
from rich.console import Console

from pargo.files import write_atomic
from pargo.machine import hardware
from tests.helpers.workflow_project import copy_project

OUTPUT = Path("reports/bench")
CONFIGS = {
    "as it is": {},
    "wider Q-Former": {"projectors.qformer.hidden_size": 48},
    "other captions": {"quality.min_words": 6},
    "more bootstrap": {"report.bootstrap_samples": 60},
}
CODE = {
    "as it is": "",
    "comment": "\n# a comment\n",
    "other seed of scores": "\nA_CHANGE = 1\n",
}
CODE_FILE = "pargo/benchmarks/scores/score.py"


class Round:
    """The project of one run, in which rounds change things.

    Args:
        root: its folder.
        chance: of everything random.
    """

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root, self.chance = root, chance
        self.config, self.code = "as it is", "as it is"
        root.mkdir()
        copy_project(root)
        self._data = yaml.safe_load((root / "config/micro.yaml").read_text())
        self._source = (root / CODE_FILE).read_text()
        for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "code")):
            identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
            subprocess.run(["git", *identity, *command], cwd=root, check=True)

    def choose(self, config: str, code: str) -> None:
        """Make config and code one of the choices."""
        self.config, self.code = config, code
        data = json.loads(json.dumps(self._data))
        for path, value in CONFIGS[config].items():
            *parents, key = path.split(".")
            node = data
            for parent in parents:
                node = node.setdefault(parent, {})
            node[key] = value
        (self.root / "config/micro.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        (self.root / CODE_FILE).write_text(self._source + CODE[code])

    def start(self) -> subprocess.Popen[str]:
        """`pargo reproduce`, in a process group of its own."""
        environment = os.environ | {"PYTHONPATH": str(self.root)}
        return subprocess.Popen(
            [sys.executable, "-m", "pargo", "reproduce", "--config", "config/micro.yaml"],
            cwd=self.root,
            env=environment,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self) -> str:
        """Run to the end; what it said.

        Raises:
            RuntimeError: it failed.
        """
        process = self.start()
        _, said = process.communicate()
        if process.returncode:
            raise RuntimeError(said)
        return said

    def kill(self) -> bool:
        """Start a run, and kill it and all its jobs after a while; False where it had ended."""
        process = self.start()
        try:
            process.wait(self.chance.uniform(2, 40))
            return False
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            subprocess.run(["pkill", "-9", "-f", f"{self.root}/"], check=False)
            return True
        finally:
            process.communicate()

    def results(self) -> dict[str, bytes]:
        """Scores, tables and manifests."""
        found = [*(self.root / "reports/micro").rglob("*"), *(self.root / "artifacts/micro").rglob("*.manifest.json")]
        wanted = (path for path in found if path.is_file() and path.suffix in (".json", ".csv", ".md", ".tex"))
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in wanted}


def _damage(root: Path, chance: random.Random) -> str:
    """Do something that nobody should to what a run made; what it was."""
    artifacts = sorted(path for path in (root / "artifacts").rglob("*") if path.is_file())
    scores = sorted((root / "reports").rglob("*.json"))

    def truncate() -> None:
        path = chance.choice(artifacts)
        path.write_bytes(path.read_bytes()[:-1])

    def edit() -> None:
        path = chance.choice([*artifacts, *scores])
        data = bytearray(path.read_bytes() or b"x")
        data[chance.randrange(len(data))] ^= 1
        path.write_bytes(data)

    def touch() -> None:
        for path in (*artifacts, *scores):
            os.utime(path, (then := chance.uniform(0, time.time()), then))

    deeds: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "file truncated": truncate,
        "bit flipped": edit,
        "file deleted": lambda: chance.choice([*artifacts, *scores]).unlink(),
        "all times changed": touch,
        ".snakemake removed": lambda: shutil.rmtree(root / ".snakemake", ignore_errors=True),
        "runs removed": lambda: shutil.rmtree(root / "runs", ignore_errors=True),
        "artifact removed": lambda: shutil.rmtree(chance.choice(artifacts).parent),
    }
    name = chance.choice(sorted(deeds))
    deeds[name]()
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    console, chance, began = Console(soft_wrap=True, highlight=False), random.Random(arguments.seed), time.monotonic()
    expected: dict[tuple[str, str], dict[str, bytes]] = {}
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        project = Round(Path(folder) / "project", chance)
        for number in range(arguments.rounds):
            choice = chance.choice(sorted(CONFIGS)), chance.choice(sorted(CODE))
            meaning = choice[0], choice[1].replace("comment", "as it is")  # which from nothing give the same
            if meaning not in expected:
                fresh = Round(Path(folder) / "-".join(map(str, ("fresh", number))), chance)
                fresh.choose(*choice)
                fresh.run()
                expected[meaning] = fresh.results()
                shutil.rmtree(fresh.root)
            project.choose(*choice)
            damage = _damage(project.root, chance)
            killed = chance.random() < 0.5 and project.kill()
            said = project.run()
            counts.update({"rounds": 1, "kills": killed, damage: 1})
            counts["jobs run"] += said.count("  done   ")
            found = project.results()
            differing = sorted(
                name for name in found | expected[meaning] if found.get(name) != expected[meaning].get(name)
            )
            console.print(f"round {number}: {choice}, {damage}, {'killed, ' * killed}{len(differing)} differences")
            if differing:
                sys.exit(f"round {number} of seed {arguments.seed}: {differing[:10]}")
    _write(counts, len(expected), arguments.seed, time.monotonic() - began)
    console.print((OUTPUT / "reruns.md").read_text())


def _write(counts: Counter[str], fresh: int, seed: int, seconds: float) -> None:
    record = {"hardware": hardware(), "time": time.strftime("%Y-%m-%d"), "seed": seed, "from_nothing": fresh, **counts}
    write_atomic(OUTPUT / "reruns.json", json.dumps(record, indent=1) + "\n")
    rows = "".join(f"| {name} | {counts[name]} |\n" for name in sorted(counts) if name not in ("rounds", "jobs run"))
    text = (
        "# Random edits, damage, kills and reruns of micro\n\n"
        f"`make bench-reruns` on {hardware()}, seed {seed}, {seconds / 60:.0f} min: after each of "
        f"{counts['rounds']} rounds all scores, tables and manifests were, byte for byte, those of a run from nothing "
        f"(of {fresh} configs and codes). {counts['jobs run']} jobs were run in the last runs of the rounds.\n\n"
        f"| what was done | rounds |\n|---|---:|\n{rows}"
    )
    write_atomic(OUTPUT / "reruns.md", text)


if __name__ == "__main__":
    main()
