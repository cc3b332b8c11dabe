"""A private SLURM on this machine: started as one user in a temporary folder, ended by process id."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
SBIN = ("/usr/sbin", "/sbin")
NODES = ("n1", "n2")

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType={gather}
JobAcctGatherFrequency=1
JobAcctGatherParams={gather_parameters}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,requeue_delay=1
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=20
MinJobAge=86400
KillWait=3
MpiDefault=none
MailProg=/bin/true
GresTypes=gpu
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}] CPUs=8 RealMemory=9000 Gres=gpu:2
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10
"""


def missing_programs() -> list[str]:
    """What a private SLURM needs and this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def wait_until(condition: Callable[[], object], seconds: float = 60.0, what: str = "it") -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


class Cluster:
    """Two nodes of eight CPUs; partition `low` can be preempted by `high`.

    Args:
        options: lines to put in place of those in `CONF` that have their key.
    """

    def __init__(self, **options: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="pargo-slurm-"))
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        self.environment = outside | {
            "SLURM_CONF": str(self.root / "slurm.conf"),
            "PATH": os.pathsep.join([os.environ["PATH"], *SBIN]),
        }
        for name in [
            name for name in self.environment if name.startswith(("SLURM_", "SBATCH_")) and name != "SLURM_CONF"
        ]:
            del self.environment[name]
        fill = {
            "root": self.root,
            "host": socket.gethostname().partition(".")[0],
            "user": subprocess.check_output(["id", "-un"], text=True).strip(),
            "ports": _free_ports(),
            "gather": "jobacct_gather/linux",
            "gather_parameters": "OverMemoryKill",
        }
        lines = [line for line in CONF.format(**fill).splitlines() if line.partition("=")[0] not in options]
        lines += [f"{key}={value}" for key, value in options.items()]
        (self.root / "slurm.conf").write_text("\n".join(lines) + "\n")
        (self.root / "gres.conf").write_text(f"Name=gpu File={self.root}/gpu[0-1]\n")  # on paper: no device is there
        for number in range(2):
            (self.root / f"gpu{number}").touch()
        for name in ("munge", "state", *(f"spool-{node}" for node in NODES)):
            (self.root / name).mkdir(mode=0o700)
        (self.root / "munge/key").write_bytes(secrets.token_bytes(1024))
        (self.root / "munge/key").chmod(0o400)

    def start(self) -> None:
        munge = self.root / "munge"
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self.run("munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items()))
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        wait_until(self.is_idle, 30, "idle nodes")

    def is_idle(self) -> bool:
        return set(self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split()) == {"idle"}

    def start_controller(self) -> None:
        self.run("slurmctld")

    def stop_controller(self) -> None:
        _end(self.root / "slurmctld.pid")

    def start_node(self, node: str) -> None:
        self.run("slurmd", "-N", node)

    def stop_node(self, node: str) -> None:
        _end(self.root / f"slurmd-{node}.pid", signal.SIGKILL)

    def run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """State of every job so far, by id; elements of arrays apart."""
        lines = self.run("squeue", "--array", "--states=all", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def show(self, job_id: str) -> dict[str, str]:
        """What `scontrol show job` says."""
        words = self.run("scontrol", "--oneliner", "show", "job", job_id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def stop(self) -> None:
        self.run("scancel", "--user", self.run("id", "-un").strip(), check=False)
        time.sleep(0.5)
        for node in NODES:
            _end(self.root / f"slurmd-{node}.pid", signal.SIGKILL)
        _end(self.root / "slurmctld.pid")
        for process in _left_over(str(self.root)):
            os.kill(process, signal.SIGKILL)
        _end(self.root / "munge/pid")
        shutil.rmtree(self.root, ignore_errors=True)


def _end(pid_file: Path, number: signal.Signals = signal.SIGTERM) -> None:
    """End the process that wrote a file, and wait for it."""
    try:
        process = int(pid_file.read_text())
        os.kill(process, number)
    except (OSError, ValueError):
        return
    end = time.monotonic() + 15
    while Path(f"/proc/{process}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def _left_over(root: str) -> list[int]:
    """Processes started by this cluster's nodes: their environment names its configuration."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and f"SLURM_CONF={root}/".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _free_ports() -> tuple[int, int, int]:
    """Three free ports in a row, as SLURM's configuration wants those of the nodes."""
    for first in range(20_000 + os.getpid() % 10_000, 60_000, 3):
        try:
            for port in range(first, first + 3):
                with socket.socket() as attempt:
                    attempt.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first, first + 1, first + 2
    raise AssertionError("no free ports")
