"""Bring a row of the table of downloads to its folder below `data/`, which appears when all of it is there and right.

What is fetched waits in `data/.fetching/<name>/` until then: a killed or failed fetch goes on there. What a folder was
fetched as stands in `data/.fetched/<name>.json`; a folder that somebody put there is taken as it is.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from pargo.config.base import canonical_json
from pargo.errors import PargoError
from pargo.fetch.http import FULL, alone, no_room
from pargo.fetch.kinds import FETCHERS, Places
from pargo.fetch.table import ARCHIVES, DATA, Archives, Download, Folder, Http, without_remarks
from pargo.fetch.unpack import unpack
from pargo.files import write_atomic

LOCK = Path("config/versions.lock.json")
FETCHING = ".fetching"
FETCHED = ".fetched"


def fetch_download(name: str, download: Download, data: Path = DATA, lock: Path = LOCK) -> Path:
    """The folder of a download, fetched if it is not there. Two processes take turns: the second finds it.

    Args:
        data: folder that all downloads' folders are in.
        lock: file that keeps what the table does not say, from the first fetch on; later ones must get the same.

    Raises:
        PargoError: it cannot be had, or is not what the table or the lock file says. What was fetched and is right
            stays for the next time; nothing stands in the folder.
    """
    target, staging = data / download.folder, data / FETCHING / name
    mark, version = data / FETCHED / f"{name}.json", _identity(download)
    if target.exists():
        _check_same(name, target, mark, version)
        return target
    if isinstance(download, Folder):
        raise PargoError(f"{target} is not there, and no program fetches it. {how_to_get(name, download)}")
    staging.mkdir(parents=True, exist_ok=True)
    with alone(staging.with_name(f"{name}.lock"), name) as guard:
        if target.exists():
            _check_same(name, target, mark, version)
            return target
        incoming, checked, started = staging / "incoming", staging / "checked", staging / "version.json"
        if not started.exists() or started.read_text(encoding="utf-8") != _files_of(download):
            shutil.rmtree(staging)  # of another version
            write_atomic(started, _files_of(download))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent.stat().st_dev != staging.stat().st_dev:
            raise PargoError(
                f"{name}: {target.parent} is on another file system than {data}: make {data} itself the link"
            )
        _check_room(name, download, staging)
        if not checked.exists():
            incoming.mkdir(exist_ok=True)
            FETCHERS[type(download)](name, download, Places(incoming, lock, data, guard))
            checked.touch()
        found = incoming
        if isinstance(download, Archives) and download.unpack is not None:
            found = _unpacked(name, incoming, staging / "unpacked", download.unpack)
        write_atomic(mark, version)
        checked.unlink()  # before anything leaves the staging folder: a kill from here on fetches anew
        found.replace(target)
        shutil.rmtree(staging)
    return target


def _files_of(download: Download) -> str:
    """What decides which files are fetched, whatever becomes of them then."""
    return _identity(download, "unpack", "folder")


def _identity(download: Download, *besides: str) -> str:
    """What a version is, but for some fields; another mirror, or a new field without a value, makes no other one."""
    fields = without_remarks(download).model_dump(exclude_defaults=True, exclude=set(besides))
    if isinstance(download, Http):
        for file in fields["files"].values():
            del file["urls"]
    return canonical_json(fields)


def fetch_all(rows: Mapping[str, Download], data: Path = DATA, lock: Path = LOCK) -> None:
    """Fetch what is not there, one after the other; a row that fails does not keep the others waiting.

    Says first what a person has to fetch, and how much the others are.

    Raises:
        PargoError: the disk is too small for what is known, or rows failed or are left to a person; each is named.
    """
    waiting = {name: row for name, row in rows.items() if not (data / row.folder).exists()}
    by_hand = [how_to_get(name, row) for name, row in waiting.items() if isinstance(row, Folder)]
    print(*(f"no program fetches {text}" for text in by_hand), sep="\n", end="\n" if by_hand else "", flush=True)
    known = sum(row.bytes or 0 for row in waiting.values())
    data.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(data).free
    print(
        f"{len(rows)} rows, {len(waiting)} not here, about {known / 1e9:.1f} GB; {free / 1e9:.1f} GB are free",
        flush=True,
    )
    if known > free:
        raise PargoError(f"{no_room(data / 'all', known)}")
    failed = []
    for name, row in rows.items():
        if not isinstance(row, Folder) or name not in waiting:
            try:
                print(f"{name}: {fetch_download(name, row, data, lock)}", flush=True)
            except PargoError as error:
                print(f"{name}: failed", flush=True)
                failed.append(str(error))
    if failed or by_hand:
        parts = [f"{len(failed)} of {len(rows)} rows failed:", *(f"  {text}" for text in failed)] if failed else []
        parts += ["no program fetches:", *(f"  {text}" for text in by_hand)] if by_hand else []
        raise PargoError("\n".join(parts))


def how_to_get(name: str, download: Folder) -> str:
    """What somebody has to do to get the files of a download."""
    parts = [f"{name}: get it from {download.page}"]
    parts += [f"{download.gate} there"] if download.gate else []
    parts += [f"put it into data/{download.folder}"]
    return "; ".join(parts) + (f". {download.note}" if download.note else "")


def _check_same(name: str, target: Path, mark: Path, version: str) -> None:
    """Raise PargoError when a folder was fetched as another version than is wanted now."""
    if mark.exists() and (before := mark.read_text(encoding="utf-8")) != version:
        raise PargoError(
            f"{name}: {target} was fetched when the table of downloads said something else; remove it to have it "
            f"fetched anew, or put the row back\n  then: {before}\n  now:  {version}"
        )


def _check_room(name: str, download: Download, staging: Path) -> None:
    """Raise PargoError when it is known beforehand that the disk is too small."""
    if not download.bytes:
        return
    there = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    twice = isinstance(download, Archives) and download.unpack is not None  # images hardly shrink in an archive
    needed, free = download.bytes * (2 if twice else 1) - there, shutil.disk_usage(staging).free
    if needed > free:
        raise PargoError(f"{name}: {no_room(staging.parent, needed)}{' (with its archives)' if twice else ''}")


def _unpacked(name: str, incoming: Path, folder: Path, wanted: str) -> Path:
    """What the archives hold together, or a folder of it."""
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    merged = folder / "all"
    merged.mkdir(parents=True)
    for number, archive in enumerate(sorted(path for path in incoming.rglob("*") if path.name.endswith(ARCHIVES))):
        print(f"{name}: unpacking {archive.name}", file=sys.stderr, flush=True)
        part = folder / str(number)
        try:
            unpack(archive, part)
        except OSError as error:
            raise no_room(folder) if error.errno in FULL else PargoError(f"{name}: {archive.name}: {error}") from None
        for path in part.iterdir():
            if (merged / path.name).exists():
                raise PargoError(f"{name}: {path.name} is in {archive.name} and in an archive before it")
            path.rename(merged / path.name)
    found = merged / wanted
    if not found.is_dir():
        held = ", ".join(sorted(path.name for path in merged.iterdir())[:10])
        raise PargoError(f"{name}: its archives hold no folder {wanted}; they hold {held or 'nothing'}")
    return found
