"""What a cluster's partitions have, from `sinfo`: asked before a job is submitted that could never start."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pargo.config.jobs import Resources, load_jobs
from pargo.errors import ConfigError, PargoError
from pargo.jobs.profiles import jobs_files, profile_file

# partition (the default one has a star), nodes, CPUs and MB of a node, its generic resources, longest time
FORMAT = "%P|%D|%c|%m|%G|%l"


@dataclass(frozen=True)
class Nodes:
    """Nodes of one kind in a partition."""

    partition: str
    is_default: bool
    number: int
    cpus: int
    memory_mb: int
    gpus: int
    gres: str
    time_minutes: float

    def lacks(self, asked: Resources) -> list[str]:
        """What a job asks of a node that these nodes do not have."""
        wanted = {
            "GPUs per node": (asked.gpus_per_node, self.gpus),
            "CPUs per node": (asked.processes_per_node * asked.cpus_per_task, self.cpus),
            "GB of memory per node": (asked.memory_gb or 0, self.memory_mb / 1000),
            "minutes": (asked.time_minutes, self.time_minutes),
        }
        return [f"{number} {what} (there are {has:g})" for what, (number, has) in wanted.items() if number > has]

    def __str__(self) -> str:
        gres = self.gres if self.gres != "(null)" else "no GPU"
        return f"{self.number} x {self.cpus} CPUs, {self.memory_mb / 1000:g} GB, {gres}"


def partitions() -> list[Nodes]:
    """All of them; none when SLURM does not answer."""
    try:
        command = ["sinfo", "--noheader", f"--format={FORMAT}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [_nodes(line) for line in done.stdout.splitlines() if line.count("|") == 5] if not done.returncode else []


def _nodes(line: str) -> Nodes:
    partition, number, cpus, memory, gres, limit = line.split("|")
    name = partition.removesuffix("*")
    gpus = sum(int(found) for found in re.findall(r"gpu(?::[^:,()]+)?:(\d+)", gres))
    size = {key: int(text.rstrip("+")) for key, text in (("number", number), ("cpus", cpus), ("memory_mb", memory))}
    return Nodes(name, partition != name, **size, gpus=gpus, gres=gres, time_minutes=minutes(limit))


def minutes(text: str) -> float:
    """SLURM's `days-hours:minutes:seconds`, or `infinite`, in minutes."""
    days, _, rest = text.rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        seconds = sum(part * 60**power for power, part in enumerate(reversed(parts)))
        return 1440 * int(days or 0) + seconds / 60
    except ValueError:
        return float("inf")


def check(asked: Resources) -> None:
    """Refuse what no node of the partition has.

    Raises:
        PargoError: there is no such partition, or none of its nodes has what the job asks for.
    """
    known = partitions()
    if not known:
        return  # sbatch will tell
    names = (asked.partition or "").split(",")  # SLURM takes the first that has room
    chosen = [nodes for nodes in known if nodes.partition in names]
    if asked.partition is None:
        chosen = [nodes for nodes in known if nodes.is_default] or known
    if not chosen:
        names = list(dict.fromkeys(nodes.partition for nodes in known))
        raise PargoError(f"partition {asked.partition!r} does not exist; sinfo knows {', '.join(names)}")
    name = asked.partition or chosen[0].partition
    if all(nodes.lacks(asked) for nodes in chosen):
        has = "; ".join(str(nodes) for nodes in chosen)
        nearest = min(chosen, key=lambda nodes: len(nodes.lacks(asked)))
        missing = ", ".join(nearest.lacks(asked))
        raise PargoError(f"the job asks for {missing}; partition {name!r} has, says sinfo: {has}")
    number = sum(nodes.number for nodes in chosen if not nodes.lacks(asked))
    if number < asked.nodes:
        raise PargoError(f"the job asks for {asked.nodes} nodes; partition {name!r} has {number} such nodes")


def check_profile(profile: Path) -> None:
    """Refuse a Snakemake profile whose jobs SLURM could never run: now, not when their turn comes after days.

    Args:
        profile: its directory; `set-resources` names the jobs file of each heavy stage.

    Raises:
        ConfigError: a jobs file cannot be read, or no node has what a stage asks for.
    """
    for stage, executor in jobs_files(profile) if profile_file(profile).is_file() else ():
        jobs = load_jobs(executor)
        if jobs.backend != "slurm":
            continue
        try:
            check(jobs.of(stage))
        except PargoError as error:
            raise ConfigError(f"{executor}: {stage}: {error}") from None
