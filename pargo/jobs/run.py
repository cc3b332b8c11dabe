"""Runs a stage of `pargo.stages`: in this process, as a job, or as several jobs that share its work."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pargo.arguments import existing
from pargo.code import code_hash
from pargo.errors import PargoError, UsageError
from pargo.jobs.record import ON_INTERRUPT
from pargo.layout import manifest_path
from pargo.progress import RESTORED_MARK, SAME_MARK
from pargo.stages import Stage, Value, field, listed


def run_stage(
    stage: Stage,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Value],
    output: Path,
    run_directory: Path | None = None,
    executor: str = "local",
    found: Sequence[Path] = (),
    strict: bool = False,
) -> None:
    """Run a stage to its end, unless its output is already what it would make.

    What is wrong with the arguments is said before anything heavy is imported.

    Args:
        settings: of the stage, as read from JSON.
        inputs: by their names in the table.
        output: what the stage makes.
        run_directory: of a stage that is heavy, or keeps something there.
        executor: how a heavy stage runs: `local`, `inline` (in this process), or path of a jobs file.
        found: what the stage reads beside its inputs.
        strict: make anew what differs by rounding alone, or was computed with other versions of packages.

    Raises:
        UsageError: an input that is not there, or settings that are not of this stage.
        PargoError: the stage failed.
        KeyboardInterrupt: the run that wants it was interrupted before it began.
    """
    if os.environ.get(ON_INTERRUPT) == "end":
        raise KeyboardInterrupt
    for name, value in inputs.items():
        for path in listed(value):
            existing(f"--{name}", path)
    if stage.heavy and run_directory is None:
        raise UsageError(f"{stage.name}: a stage that runs as a job needs a run directory")
    try:
        modules, code = stage.modules(settings), code_hash(stage.code_files(settings))
        local = stage.local_files(settings)
        number = field(settings, stage.shards.number) if stage.shards else 1
    except PargoError as error:
        raise UsageError(f"--settings: {error}") from None
    from pargo.made import Spec, as_record, reason_to_remake, reported, write_record
    from pargo.store import restore

    paths = [path for value in inputs.values() for path in listed(value)]
    chosen = partial(_chosen, stage, settings)
    spec = Spec(stage.name, settings, code, (*paths, *found), chosen, strict=strict, local=local)
    if not reason_to_remake(output, spec, reported(output)):
        print(f"{SAME_MARK}what it reads came out as before", flush=True)
        return
    if (made := restore(output, spec)) is not None:
        print(f"{RESTORED_MARK}it was made before ({made})", flush=True)
        return
    arguments: dict[str, Any] = {**inputs, "output": output}
    if stage.keeps:
        arguments["run_directory"] = run_directory
    if not stage.heavy:
        from pargo.jobs.stage import call_stage

        record = as_record(spec)  # as things are when it begins
        call_stage(stage.module, "run", json.dumps(settings), arguments)
        if not manifest_path(output).is_file():
            write_record(output, record)
        return
    assert run_directory is not None
    how: dict[str, Any] = {"modules": modules, "local": spec.local_contents, "stage_name": stage.name}
    if stage.shards:
        arguments[stage.shards.argument] = _run_shards(stage, number, settings, inputs, run_directory, executor, how)
        executor = "inline" if arguments[stage.shards.argument] else executor  # what is left is to put them together
    from pargo.jobs.launcher import launch

    given = {"settings": settings, **arguments}
    launch(stage.module, given, name=run_directory.as_posix(), run_directory=run_directory, executor=executor, **how)


def _chosen(stage: Stage, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not at their defaults, as `pargo.graph.jobs` has them; imports the stage."""
    from pargo.config.base import without_defaults
    from pargo.jobs.stage import parse_settings

    parsed = parse_settings(stage.module, "run", json.dumps(settings))
    return {name: without_defaults(value) for name, value in dict(parsed).items()}


def _run_shards(
    stage: Stage,
    number: Any,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Value],
    run_directory: Path,
    executor: str,
    how: Mapping[str, Any],
) -> list[Path]:
    """Run the parts of a stage as an array of jobs; what each left, nothing where one job does all."""
    assert stage.shards is not None
    if type(number) is not int or number < 1:
        raise UsageError(f"--settings: {stage.shards.number}: {number!r} is not valid: expected at least 1")
    if number == 1:
        return []
    from pargo.jobs.launcher import launch_array

    parts = [run_directory / str(shard) for shard in range(number)]
    elements = [
        {"settings": settings, **inputs, "shard": shard, "run_directory": part} for shard, part in enumerate(parts)
    ]
    launch_array(stage.shards.function, elements, run_directory=run_directory, executor=executor, **how)
    return [part / stage.shards.file for part in parts]
