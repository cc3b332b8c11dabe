"""Fetch a large file over HTTP: resumed after a cut, verified, and in its place only when it is whole and right."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pargo.errors import PargoError
from pargo.files import md5_file, sha256_file, write_atomic

TRIES = 6  # in a row without a byte of progress, over all mirrors
MAX_WAIT = 60.0  # seconds
INTERVAL = 10.0  # seconds between lines that say how far it is
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Fetched(NamedTuple):
    """What was fetched: bytes, and their hex sha256."""

    size: int
    sha256: str


class _Pin(NamedTuple):
    """What is known of the right file."""

    size: int | None
    sha256: str | None
    md5: str | None


class _Again(Exception):  # noqa: N818 - nothing is wrong with the run
    """This mirror did not give the file this time, and may later; the text says why."""


class _Never(Exception):  # noqa: N818
    """This mirror will never give the file, so another is asked; the text says why."""


class _WrongFileError(PargoError):
    """Another file than the pinned one."""


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    timeout: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Bring a file to `target`, if it is not there already.

    What was fetched of it stays beside it under a name with a dot and is continued, also by a later call and from
    another mirror. Two processes take turns: the second finds the file.

    Args:
        urls: mirrors, tried in this order.
        size, sha256, md5: of the right file, where they are known.
        timeout: seconds without a byte.

    Raises:
        PargoError: no mirror has it, it is another file, or the disk is full. Nothing wrong stands in its place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    pin = _Pin(size, sha256, md5)
    with alone(target.with_name(f".{target.name}.lock"), target.name):
        if target.exists():
            return _verified(target, pin)
        partial = _Partial(target)
        _check_room(target, (size or 0) - partial.size)
        problems: dict[str, str] = {}
        tries = wrong = 0
        while True:
            left = [url for url in urls if url not in problems]
            if not left:
                reasons = "".join(f"\n  {url}: {reason}" for url, reason in problems.items())
                raise PargoError(f"{target.name}: cannot be fetched:{reasons}")
            url, before = left[tries % len(left)], partial.size
            try:
                if size is None or before != size:  # else a process was killed just before it was done
                    _receive(url, partial, pin, timeout)
                found = _check(partial.path, pin)
            except _Never as error:
                problems[url] = str(error)
                continue
            except _Again as error:
                tries = 1 if partial.size > before else tries + 1
                if tries >= TRIES:
                    raise PargoError(
                        f"{target.name}: {error} ({TRIES} times in a row without progress); what is fetched stays: "
                        f"{partial.size:,} bytes. Run the command again to go on"
                    ) from None
                wait = min(MAX_WAIT, 2 ** (tries - 1) * random.uniform(0.5, 1.0))
                print(f"{target.name}: {error}; trying again in {wait:.0f} s", file=sys.stderr, flush=True)
                sleep(wait)
            except _WrongFileError as error:
                partial.discard()
                wrong += 1
                if not before or wrong > len(urls):  # else a part may be another mirror's: from the first byte then
                    problems[url] = str(error)
            else:
                partial.finish(target)
                return found


@contextmanager
def alone(lock: Path, name: str) -> Iterator[int]:
    """Hold a lock file, waiting for whoever has it; the descriptor that holds it."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: another process fetches it; waiting", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _verified(target: Path, pin: _Pin) -> Fetched:
    try:
        return _check(target, pin)
    except _WrongFileError as error:
        raise PargoError(f"{error}\n{target} is left as it is: remove it to have it fetched anew") from None


def _check(path: Path, pin: _Pin) -> Fetched:
    """What a file is; an error when it is not what it should be."""
    found = Fetched(path.stat().st_size, sha256_file(path))
    md5 = md5_file(path) if pin.md5 else None
    if (pin.size or found.size, pin.sha256 or found.sha256, pin.md5) != (found.size, found.sha256, md5):
        name = path.name.removeprefix(".").removesuffix(".partial")
        size = "any number of" if pin.size is None else f"{pin.size:,}"
        expected, got = [f"{size} bytes", f"sha256 {pin.sha256 or 'any'}"], [f"{found.size:,} bytes"]
        got += [f"sha256 {found.sha256}"]
        if pin.md5:
            expected, got = [*expected, f"md5 {pin.md5}"], [*got, f"md5 {md5}"]
        raise _WrongFileError(f"{name} is not the pinned file: expected {', '.join(expected)}; got {', '.join(got)}")
    return found


class _Partial:
    """The part of a file that is there, and which version of the server's file it is a part of."""

    def __init__(self, target: Path) -> None:
        self.name = target.name
        self.path = target.with_name(f".{target.name}.partial")
        self._state = target.with_name(f".{target.name}.partial.json")
        self.version: str | None = None
        if self._state.exists() and self.path.exists():
            try:
                self.version = json.loads(self._state.read_text(encoding="utf-8")).get("version")
            except (ValueError, AttributeError):
                self.discard()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def restart(self, version: str | None) -> None:
        """Begin anew with a version of the file (ETag or date)."""
        self.discard()
        self.version = version
        write_atomic(self._state, json.dumps({"version": version}))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        self.version = None

    def finish(self, target: Path) -> None:
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self._state.unlink(missing_ok=True)


def _receive(url: str, partial: _Partial, pin: _Pin, timeout: float) -> None:
    """Append what is missing. A part is continued if the server's file is still the same, or its hash will tell.

    Raises:
        _Again: cut off, busy, or no longer the same file; `partial` holds what is usable.
        _Never: this address does not give it.
        PargoError: the disk is full.
    """
    import httpx2

    asked = {"Accept-Encoding": "identity"}  # offsets are of the file's own bytes
    start = partial.size
    if start and (partial.version or pin.sha256 or pin.md5):
        asked["Range"] = f"bytes={start}-"
        if partial.version:
            asked["If-Range"] = partial.version
    try:
        with httpx2.stream("GET", url, headers=asked, timeout=timeout, follow_redirects=True) as response:
            total = _begin(response, partial, start)
            chunked = "chunked" in response.headers.get("transfer-encoding", "")
            if total is None and not chunked and pin == (None, None, None):
                raise _Never("the server does not say how large the file is, so a cut would not show")
            if total is not None:
                if pin.size is not None and total != pin.size:
                    partial.discard()
                    raise _Never(f"the server's file has {total:,} bytes, the pinned one {pin.size:,}")
                _check_room(partial.path, total - partial.size)
            if total == partial.size:
                return
            due = time.monotonic() + INTERVAL
            with partial.path.open("ab") as file:
                for block in response.iter_raw():  # as they come: what a cut stream has sent is kept
                    file.write(block)
                    if time.monotonic() > due:
                        due = time.monotonic() + INTERVAL
                        of = "" if total is None else f" of {total / 1e9:.2f}"
                        print(f"{partial.name}: {file.tell() / 1e9:.2f}{of} GB", file=sys.stderr, flush=True)
    except httpx2.ConnectError as error:
        raise _Again(f"cannot connect to {httpx2.URL(url).host} ({error})") from None
    except httpx2.HTTPError as error:
        raise _Again(f"cut off after {partial.size:,} bytes ({type(error).__name__})") from None
    except OSError as error:
        if error.errno in FULL:
            raise no_room(partial.path, None) from None
        raise
    if total is not None and partial.size != total:
        if partial.size > total:
            partial.discard()
        raise _Again(f"{partial.size:,} of {total:,} bytes came")


def _begin(response: Any, partial: _Partial, start: int) -> int | None:
    """Look at the head of a reply; the whole file's size, where the server says it."""
    status, head = response.status_code, response.headers
    # weak ETags do not promise equal bytes; a date is better than nothing
    etag = head.get("etag", "")
    version = etag if etag and not etag.startswith("W/") else head.get("last-modified")
    if status in (200, 206) and head.get("content-encoding", "identity") != "identity":
        raise _Never("the server compresses what it was asked to send as it is")
    if status == 206:
        unit, _, rest = head.get("content-range", "").partition(" ")
        place, _, total = rest.partition("/")
        same = not (version and partial.version) or version == partial.version  # servers may not know If-Range
        if same and unit == "bytes" and place.startswith(f"{start}-") and total.isdecimal():
            return int(total)
        partial.discard()
        raise _Again("the server sent another part than was asked for, or of another file")
    if status == 200:
        if start:
            print(f"{partial.path.name}: begins anew, the file or server gives no part", file=sys.stderr, flush=True)
        partial.restart(version)
        length = head.get("content-length", "")
        return int(length) if length.isdecimal() else None
    if status == 416:
        if head.get("content-range", "") == f"bytes */{start}":
            return start  # all of it was there already
        partial.discard()
        raise _Again("the file is shorter than what was fetched")
    if status in (408, 425, 429) or status >= 500:
        raise _Again(f"HTTP {status}")
    if status in (401, 403):
        raise _Never(f"HTTP {status}: it asks for a login, or for terms to be accepted first")
    raise _Never(f"HTTP {status}")


def _check_room(path: Path, needed: int) -> None:
    if needed > shutil.disk_usage(path.parent).free:
        raise no_room(path, needed)


def no_room(path: Path, needed: int | None = None) -> PargoError:
    """The error of a full disk, which says how full it is."""
    free = shutil.disk_usage(path.parent).free
    wanted = "" if needed is None else f"{needed / 1e9:.2f} GB are needed, "
    return PargoError(
        f"no room in {path.parent}: {wanted}{free / 1e9:.2f} GB are free (or a limit is reached). What is fetched "
        "stays; make room and run the command again"
    )
