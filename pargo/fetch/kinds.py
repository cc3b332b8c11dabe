"""How files of each kind of download come: over HTTP, from a hub, by img2dataset; `downloads.py` puts them in place."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pargo.errors import PargoError
from pargo.fetch.http import FULL, fetch, no_room
from pargo.fetch.table import Download, Http, Hub, Img2dataset
from pargo.files import read_json, write_atomic

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


class Places(NamedTuple):
    """Where a fetch goes, and the descriptor of the lock that it holds."""

    incoming: Path
    lock: Path
    data: Path
    guard: int


def _http(name: str, download: Http, places: Places) -> None:
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


def _hub(name: str, download: Hub, places: Places) -> None:
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
        raise PargoError(f"{name}: {_reason(error, download, revision, places.lock)}") from None
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


def _reason(error: Exception, download: Hub, revision: str | None, lock: Path) -> str:
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
        known = "" if download.revision or not revision else f", which {lock} keeps from the first fetch"
        return f"the hub has no {download.type} {download.repository} at {revision or 'its newest commit'}{known}"
    return f"the hub did not give {download.repository}: {text}. What is fetched stays: run the command again to go on"


def _img2dataset(name: str, download: Img2dataset, places: Places) -> None:
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
