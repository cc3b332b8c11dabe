"""A job's command: asks the process of `pargo/jobs/forks.py` for a fork that runs a module, or runs it itself.

    python -S -E fork_client.py -u -m MODULE ARGUMENTS

It stands for the fork: it ends as that does, passes signals on, and takes it along when it is killed. Only the standard
library is imported, and little of it, as nothing but the start of Python is left to save.
"""

import array
import json
import os
import signal
import socket
import sys
import time
from typing import NoReturn

VARIABLE = "PARGO_FORKS"  # the socket's path
LENGTH = 8  # bytes of a number
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    """Ask for a fork, and end as it does."""
    connection = _connect()
    if connection is None:
        _be_ordinary()
    _, _, module, *arguments = sys.argv[1:]  # -u -m MODULE
    asked = {
        "module": module,
        "arguments": [module, *arguments],
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib takes long to import
        "environment": dict(os.environ),
    }
    data = json.dumps(asked).encode()
    streams = array.array("i", [0, 1, 2])
    try:
        connection.sendmsg([len(data).to_bytes(LENGTH, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        connection.sendall(data)
    except OSError:
        _be_ordinary()
    early: list[int] = []  # signals that come before the fork is known
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: early.append(number))
    job = int.from_bytes(receive_exactly(connection, LENGTH), "big")
    if not job:  # nothing was forked, and nothing will be
        for number in PASSED_ON:
            signal.signal(number, signal.SIG_DFL)
        if early:
            os.kill(os.getpid(), early[0])
        _be_ordinary()

    def pass_on(number: int, _: object) -> None:
        try:
            os.kill(job, number)
        except ProcessLookupError:
            return

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    for before in early:
        pass_on(before, None)
    end = receive_exactly(connection, LENGTH)
    if not end:
        _wait_for(job)  # nobody is left who could say how it ended
        sys.exit(1)
    code = int.from_bytes(end, "big", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes; none where the other side has gone."""
    parts, left = [], count
    while left:
        try:
            part = connection.recv(left)
        except ConnectionError:
            part = b""
        if not part:
            return b""
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _be_ordinary() -> NoReturn:
    """Go on as the Python that was asked for."""
    os.environ.pop(VARIABLE, None)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606 - it was asked for


def _connect() -> "socket.socket | None":
    path = os.environ.get(VARIABLE)
    if not path:
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        return None
    return connection


def _wait_for(process: int) -> None:
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main()
