"""Bring a row of the version table to its folder below `data/`, which appears when all of it is there and right.

What is fetched waits in `data/.fetching/<name>/` until then: a killed or failed fetch goes on there. What a folder was
fetched as stands in `data/.fetched/<name>.json`; a folder that somebody put there is taken as it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pargo.config.base import canonical_json
from pargo.data.fetch import FULL, fetch, no_room
from pargo.data.unpack import unpack
from pargo.data.versions import ARCHIVES, DATA, Archives, Download, Folder, Http, Hub, Img2dataset, without_remarks
from pargo.errors import PargoError
from pargo.files import read_json, write_atomic

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
        _check_version(name, target, mark, version)
        return target
    if isinstance(download, Folder):
        raise PargoError(f"{target} is not there, and no program fetches it. {how_to_get(name, download)}")
    staging.mkdir(parents=True, exist_ok=True)
    with _alone(staging.with_name(f"{name}.lock"), name) as guard:
        if target.exists():
            _check_version(name, target, mark, version)
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
            FETCHERS[type(download)](name, download, _Places(incoming, lock, data, guard))
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
    """What somebody has to do."""
    parts = [f"{name}: get it from {download.page}"]
    parts += [f"{download.gate} there"] if download.gate else []
    parts += [f"put it into data/{download.folder}"]
    return "; ".join(parts) + (f". {download.note}" if download.note else "")


def _check_version(name: str, target: Path, mark: Path, version: str) -> None:
    """Raise PargoError when a folder was fetched as another version than is wanted now."""
    if mark.exists() and (before := mark.read_text(encoding="utf-8")) != version:
        raise PargoError(
            f"{name}: {target} was fetched when the version table said something else; remove it to have it fetched "
            f"anew, or put the row back\n  then: {before}\n  now:  {version}"
        )


@contextmanager
def _alone(path: Path, name: str) -> Iterator[int]:
    """Hold a lock; the descriptor that holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: another process fetches it; waiting", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


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


# The lock file --------------------------------------------------------------------------------------------------------


def _locked(lock: Path, name: str) -> dict[str, Any]:
    """What was found out about a download before."""
    found = (read_json(lock) if lock.exists() else {}).get(name, {})
    if not isinstance(found, dict):
        raise PargoError(f"{lock}: {name}: expected a mapping")
    return found


def _keep(lock: Path, name: str, facts: dict[str, Any]) -> None:
    """Add facts about a download; other processes may add theirs."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with (lock.parent / f".{lock.name}.writing").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        table = read_json(lock) if lock.exists() else {}
        table[name] = facts
        write_atomic(lock, json.dumps(dict(sorted(table.items())), indent=1) + "\n")


# Kinds ----------------------------------------------------------------------------------------------------------------


class _Places(NamedTuple):
    """Where a fetch goes, and the descriptor of the lock that it holds."""

    incoming: Path
    lock: Path
    data: Path
    guard: int


def _http(name: str, download: Http, places: _Places) -> None:
    incoming, lock = places.incoming, places.lock
    known, found = _locked(lock, name).get("files", {}), {}
    for file, pin in download.files.items():
        before = known.get(file, {})
        try:
            got = fetch(
                pin.urls,
                incoming / file,
                size=pin.size or before.get("size"),
                sha256=pin.sha256 or before.get("sha256"),
                md5=pin.md5,
            )
        except PargoError as error:
            hint = f"\n{lock} keeps what was fetched first: if its owner replaced it, decide which one you want"
            raise PargoError(f"{name}: {error}{hint if before and 'pinned' in str(error) else ''}") from None
        if not pin.sha256:
            found[file] = {"size": got.size, "sha256": got.sha256}
    for path in incoming.glob(".*"):  # locks of fetch
        path.unlink()
    if found and found != known:
        _keep(lock, name, {"files": found})


def _hub(name: str, download: Hub, places: _Places) -> None:
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import filter_repo_objects

    api, files, incoming = HfApi(), list(download.files), places.incoming
    revision = download.revision or _locked(places.lock, name).get("revision")
    repository = {"repo_id": download.repository, "repo_type": download.type}
    try:
        info = api.repo_info(**repository, revision=revision)
        names, commit = [file.rfilename for file in info.siblings or ()], str(info.sha)
        if absent := [one for one in files if not list(filter_repo_objects(names, allow_patterns=[one]))]:
            raise PargoError(f"{name}: {download.repository} has no {', '.join(absent)} at {commit}")
        api.snapshot_download(**repository, revision=commit, allow_patterns=files, local_dir=incoming)
        report = api.verify_repo_checksums(**repository, revision=commit, local_dir=incoming)
    except (HfHubHTTPError, HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise PargoError(f"{name}: {no_room(incoming)}") from None
        raise PargoError(f"{name}: {_reason(error, download, revision)}") from None
    for wrong in report.mismatches:
        (incoming / wrong["path"]).unlink()
    if rows := [f"\n  {one['path']}: expected {one['expected']}, got {one['actual']}" for one in report.mismatches]:
        raise PargoError(
            f"{name}: what came is not what {download.repository} states at {commit}; deleted:{''.join(rows)}"
        )
    wanted = set(filter_repo_objects(names, allow_patterns=files))
    if gaps := sorted(wanted & set(report.missing_paths)):
        raise PargoError(f"{name}: did not come: {', '.join(gaps)}")
    shutil.rmtree(incoming / ".cache")  # of the library
    for path in [path for path in incoming.rglob("*") if path.is_file()]:
        if path.relative_to(incoming).as_posix() not in wanted:  # of a commit that was the newest before
            path.unlink()
    if not download.revision:
        _keep(places.lock, name, {"revision": commit})


def _reason(error: Exception, download: Hub, revision: str | None) -> str:
    """Why the hub gave nothing, in a line or two."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    text = re.sub(r"\?[^\s'\"]+", "?...", text)  # addresses may be signed
    if status in (401, 403):
        asked = download.gate or "accept its terms"
        return (
            f"the hub refuses it (HTTP {status}): {asked} at {download.page}, then log in: `hf auth login` or HF_TOKEN"
        )
    if status == 404:
        known = "" if download.revision or not revision else f", which {LOCK.name} keeps from the first fetch"
        return f"the hub has no {download.type} {download.repository} at {revision or 'its newest commit'}{known}"
    return f"the hub did not give {download.repository}: {text}. What is fetched stays: run the command again to go on"


def _img2dataset(name: str, download: Img2dataset, places: _Places) -> None:
    tool, incoming, addresses = shutil.which("img2dataset"), places.incoming, places.data / download.addresses
    if tool is None:
        raise PargoError(f"{name}: needs the tool img2dataset: install it, best in an environment of its own")
    if not addresses.is_dir():
        raise PargoError(f"{name}: no addresses in {addresses}: fetch them first")
    options = {
        "url_list": addresses,
        "input_format": "parquet",
        "url_col": download.url_column,
        "caption_col": download.caption_column,
        "save_additional_columns": json.dumps(list(download.columns)),
        "output_folder": incoming,
        "output_format": "webdataset",
        "image_size": download.image_size,
        "resize_mode": "keep_ratio",
        "resize_only_if_bigger": True,
        "min_image_size": download.min_side,
        "compute_hash": "sha256",
        "retries": 2,
        "processes_count": os.cpu_count() or 1,
        "enable_wandb": False,
        "incremental_mode": "incremental",  # goes on after a kill
    }
    # the tool holds the lock too: should this process be killed, no other tool starts beside it
    command = [tool, *(f"--{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, pass_fds=(places.guard,))
    stats = [read_json(path) for path in sorted(incoming.glob("*_stats.json"))]
    tars = sorted(incoming.glob("*.tar"))
    if done.returncode or len(stats) != len(tars) or not sum(row["successes"] for row in stats):
        raise PargoError(
            f"{name}: img2dataset ended with exit code {done.returncode} and {len(stats)} of {len(tars)} tar files "
            f"complete, {sum(row['successes'] for row in stats):,} images; run the command again to go on"
        )
    came, asked = (sum(row[key] for row in stats) for key in ("successes", "count"))
    print(f"{name}: {came:,} of {asked:,} addresses gave an image", file=sys.stderr, flush=True)


FETCHERS: dict[type[Download], Callable[..., None]] = {Http: _http, Hub: _hub, Img2dataset: _img2dataset}
