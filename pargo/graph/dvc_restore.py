"""Bring back what dvc.lock records: from DVC's cache, or by way of it from the default remote.

An artifact is put together beside its place and then moved there, so a kill leaves it whole or not there at all. What
is in its place is set aside (`pargo/kept.py`).
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pargo.config.experiment import load_config
from pargo.errors import PargoError
from pargo.files import md5_file, sha256_text, write_atomic
from pargo.graph.dvc import changes_of, generate, refuse_pending
from pargo.graph.dvc_repository import alone, changes_dvc_sees, open_stages, text_of
from pargo.graph.dvc_stages import stage_name
from pargo.graph.jobs import Job, jobs_of, list_jobs, with_reasons
from pargo.graph.recorded import Recorded
from pargo.kept import complete, new_place, put
from pargo.layout import manifest_path
from pargo.made import record_of, some
from pargo.manifest import RUN_RECORD, differing, manifest_text, mend_manifest


def restore(config_file: Path, *, force: bool = False) -> None:
    """Bring back the recorded artifacts of a config, so that Snakemake has nothing to do.

    Args:
        config_file: config file.
        force: replace artifacts that are not as recorded; they are set aside.

    Raises:
        PargoError: the recorded stages are of another config or code, an artifact is in neither cache nor remote, one
            that is not as recorded is in its place, or something would still run afterwards.
    """
    with alone():
        _restore(config_file, force)


def _restore(config_file: Path, force: bool) -> None:
    name = load_config(config_file).name
    jobs = list_jobs(config_file)
    different = [path.name for path, text in generate(name, jobs).items() if text_of(path) != text]
    if changes := changes_of(name, jobs) or [f"{path}: out of date" for path in different]:
        raise PargoError(
            f"{config_file}: dvc.lock records another version: {some(changes)}: check out the commit that has this "
            "config and code, or run `pargo reproduce`"
        )
    by_output = {job.output.as_posix(): job for job in jobs}
    with open_stages(name) as stages:
        outs = [out for stage in stages for out in stage.outs if out.use_cache]
        wanted = [out for out in outs if not out.exists or out.changed_checksum()]
        replaced = [_how_it_differs(by_output[out.def_path]) for out in wanted if out.exists]
        if replaced and not force:
            raise PargoError(
                f"not as recorded: {some(replaced)}: `pargo versions restore --force` replaces "
                f"{'them' if len(replaced) > 1 else 'it'} and sets aside what is there, below .pargo/kept/"
            )
        lacking, why = _fetch(wanted)
        for out in wanted:
            if out not in lacking:
                _put(out)
        for out in outs:
            if out not in lacking:
                _write_manifest(out)
    if lacking:
        names = sorted(out.def_path for out in lacking)
        raise PargoError(f"not in DVC's cache, and {why}: {some(names)}")
    if changes := changes_dvc_sees(name):
        raise PargoError(f"the files differ from the recorded versions: {some(changes)}: commit or undo your changes")
    refuse_pending(list_jobs(config_file), config_file)


def bring(config_file: Path, rules: Collection[str] | None = None) -> str:
    """Bring back what is not here and recorded as its job would make it, before anything runs.

    Args:
        config_file: config file.
        rules: the stages that are wanted; all by default.

    Returns:
        What came back and what did not, in a line; empty when there was nothing to bring.

    Raises:
        PargoError: dvc.lock is broken, or DVC fails.
    """
    config = load_config(config_file)
    recorded = Recorded(config.name)
    # also what may run, since a job before it does: if that gives the same, what was recorded stays
    jobs = [job for job in with_reasons(jobs_of(config)) if job.made_before is None and recorded.same(job)]
    wanted = {stage_name(config.name, job) for job in jobs if rules is None or job.rule in rules}
    if not wanted:
        return ""
    with alone(), open_stages(config.name) as stages:
        outs = [out for stage in stages if stage.name in wanted for out in stage.outs if out.use_cache]
        lacking, why = _fetch(outs)
        for out in outs:
            if out not in lacking and not out.exists:
                _put(out)
    done = len(outs) - len(lacking)
    told = [f"restored {_count(done)} that dvc.lock records"] if done else []
    if lacking:
        told.append(f"not restored: {_count(len(lacking))}, not in DVC's cache, and {why}: their jobs run")
    return "; ".join(told)


def _count(number: int) -> str:
    return f"{number} artifact{'s' if number > 1 else ''}"


def _how_it_differs(job: Job) -> str:
    """An artifact that is not as recorded: which, and is it another version, or was it changed by hand?"""
    try:
        made = record_of(job.output)
        of_now = made["code"] == job.code and made["settings"] == json.loads(job.settings)
        files = differing(job.output)
    except (PargoError, KeyError, TypeError, OSError):
        return f"{job.output} (broken)"
    if not of_now:
        return f"{job.output} (another version)"
    return f"{job.output} (changed: {some(files) if files else 'its records'})"


def _fetch(outs: Sequence[Any]) -> tuple[list[Any], str]:
    """Get from the default remote what DVC's cache lacks.

    Returns:
        What it lacks still, and why.
    """
    lacking = [out for out in outs if out.changed_cache()]
    if not lacking:
        return [], ""
    repo = lacking[0].repo
    remote = repo.config["core"].get("remote")
    if not remote:
        return lacking, "no remote holds it: there is none (`dvc remote add -d` names one)"
    why = f"remote {remote!r} does not hold it"
    try:
        repo.cloud.pull([out.hash_info for out in lacking])  # folders first: they say which files there are
        trees = [tree for out in lacking if (tree := out.get_obj()) is not None]
        repo.cloud.pull([oid for tree in trees for _, _, oid in tree])
    except Exception as error:  # clients of remotes raise what they like
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)  # s3fs leaves some behind
        text = " ".join(str(error).split()) or type(error).__name__
        why = f"remote {remote!r} cannot be read ({text})"
    return [out for out in lacking if out.changed_cache()], why


def _put(out: Any) -> None:
    """Put an artifact from the cache in its place, whole or not at all; what is there is set aside."""
    from dvc_data.hashfile.checkout import checkout

    output, tree = Path(out.def_path), out.get_obj()
    with new_place(output) as temporary:
        checkout(str(temporary.absolute()), out.fs, tree, out.cache, force=True, quiet=True)
        manifest = _manifest_text(out, temporary)
        # DVC keeps no record of the run; which manifest is the artifact's own is told here, for when git has another
        write_atomic(temporary / RUN_RECORD, json.dumps({"manifest": sha256_text(manifest)}) + "\n")
        complete(temporary, manifest)
        # of what is there, which is set aside: without one it would not be kept
        if not manifest_path(output).exists():
            write_atomic(manifest_path(output), manifest)
        mend_manifest(output)
        put(temporary, output)
    # DVC need not read again what it has just written
    files = [(str(output.joinpath(*key).absolute()), oid) for key, _, oid in tree]
    out.repo.state.save_many([(path, oid, out.fs.info(path)) for path, oid in files], out.fs)


def _write_manifest(out: Any) -> None:
    """Write the manifest of an artifact where it is gone: git has it, but its content follows from the artifact's."""
    manifest = manifest_path(Path(out.def_path))
    if not manifest.exists():
        text = _manifest_text(out, Path(out.def_path))
        if hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() == _recorded_manifest(out):
            write_atomic(manifest, text)


def _manifest_text(out: Any, directory: Path) -> str:
    """The manifest of what is recorded: the one that is here, unless it is another version's."""
    manifest = manifest_path(Path(out.def_path))
    if manifest.is_file() and md5_file(manifest) == _recorded_manifest(out):
        return manifest.read_text(encoding="utf-8")
    return manifest_text(directory)


def _recorded_manifest(out: Any) -> str | None:
    recorded = {other.def_path: other.hash_info.value for other in out.stage.outs}
    return recorded.get(manifest_path(Path(out.def_path)).as_posix())
