"""A private SLURM with an accounting database: slurmdbd on a MariaDB of its own, both on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

from tests.helpers.private_slurm import SBIN, Cluster, wait_until

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacct")

SLURMDBD = """\
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
DbdHost=localhost
DbdPort={dbd_port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={port}
StorageUser=slurm
StorageLoc=accounting
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
"""


def missing_programs() -> list[str]:
    """What it needs beyond a private SLURM and this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


class AccountingCluster(Cluster):
    """A `Cluster` that keeps accounts."""

    def __init__(self, port: int, dbd_port: int) -> None:
        super().__init__()
        with (self.root / "slurm.conf").open("a") as file:
            file.write(
                "AccountingStorageType=accounting_storage/slurmdbd\n"
                f"AccountingStorageHost=localhost\nAccountingStoragePort={dbd_port}\n"
                f"AccountingStoragePass={self.root}/munge/socket\n"  # of munge it is the socket
            )
        user = subprocess.check_output(["id", "-un"], text=True).strip()
        config = self.root / "slurmdbd.conf"
        config.write_text(SLURMDBD.format(root=self.root, user=user, port=port, dbd_port=dbd_port))
        config.chmod(0o600)
        self._user, self._port = user, port
        self._servers: list[subprocess.Popen] = []

    def start(self) -> None:
        data, socket = self.root / "database", self.root / "database.socket"
        self.run("mariadb-install-db", "--no-defaults", f"--user={self._user}", f"--datadir={data}")
        self._serve(
            *("mariadbd", "--no-defaults", f"--user={self._user}", f"--datadir={data}", f"--socket={socket}"),
            *("--bind-address=127.0.0.1", f"--port={self._port}", "--skip-log-bin", "--skip-name-resolve"),
        )
        as_root = ("mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "--execute")
        ready = "CREATE DATABASE accounting; CREATE USER slurm@'%'; GRANT ALL ON accounting.* TO slurm@'%'"
        wait_until(socket.exists, 60, "the database")
        self.run(*as_root, ready)
        super().start()

    def start_controller(self) -> None:
        if not (self.root / "slurmdbd.pid").exists():
            # munged, which it needs, runs only now; and a controller without its database ends at once
            self._serve("slurmdbd", "-D")
            wait_until(self._answers, 60, "slurmdbd")
            self.run("sacctmgr", "--immediate", "add", "cluster", "test")
        super().start_controller()

    def _answers(self) -> bool:
        asked = ("sacctmgr", "--noheader", "show", "cluster")
        return subprocess.run(asked, env=self.environment, capture_output=True).returncode == 0

    def accounted(self, job_id: str) -> list[str]:
        """States of a job and its steps, as the database has them."""
        return self.run("sacct", "--jobs", job_id, "--noheader", "--parsable2", "--format=State").split()

    def _serve(self, *command: str) -> None:
        self._servers.append(
            subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def stop(self) -> None:
        for server in reversed(self._servers):
            server.send_signal(signal.SIGTERM)
        end = time.monotonic() + 15
        while any(server.poll() is None for server in self._servers) and time.monotonic() < end:
            time.sleep(0.1)
        super().stop()
