"""Artifacts that are not here, but that dvc.lock records as their jobs would make them: no job has to run for these."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pargo.accepted import same_code
from pargo.config.experiment import Config
from pargo.files import md5_file
from pargo.graph.dvc_repository import text_of
from pargo.graph.dvc_stages import (
    LOCK_NAME,
    PARAMS_NAME,
    recorded_hashes,
    recorded_settings,
    settings_hash,
    stage_definition,
    stage_name,
)
from pargo.graph.jobs import Job, jobs_of, with_reasons
from pargo.graph.stage_text import read_params, stages_of
from pargo.layout import manifest_path


def jobs_here(config: Config) -> list[Job]:
    """All jobs of a config, with the reasons why they have to run; those that dvc.lock can bring back are marked."""
    return with_reasons(jobs_of(config), Recorded(config.name).restorable)


class Recorded:
    """What dvc.lock holds of a config, compared with its jobs. Paths are relative to the project's folder."""

    def __init__(self, config: str) -> None:
        self._config = config

    def away(self, job: Job) -> bool:
        """Is a job's artifact recorded and not here, as in a clone, where only its manifest is?"""
        gone = not job.files and not job.output.exists() and manifest_path(job.output).is_file()
        return gone and stage_name(self._config, job) in self._stages

    def same(self, job: Job) -> bool:
        """Is an artifact that is away as its job would make it: by the same code and settings, from the same inputs?"""
        if not self.away(job):
            return False
        name = stage_name(self._config, job)
        code, settings = recorded_hashes(self._stages[name], name)
        if code is None or code not in same_code(job.output, job.code):
            return False
        if settings != settings_hash(json.loads(job.settings)):
            before = recorded_settings(self._params, name, settings)
            if before is None or any(job.spec.differences(before)):
                return False
        return self._files_are_as_recorded(job)

    def holds(self, job: Job) -> bool:
        """Is a job recorded as it is now: by the same code, settings and command, the same inputs and the same result?

        Its artifact must be here, and as its manifest says.
        """
        name = stage_name(self._config, job)
        if name not in self._stages:
            return False
        if recorded_hashes(self._stages[name], name) != (job.code, settings_hash(json.loads(job.settings))):
            return False
        if self._stages[name].get("cmd") != stage_definition(self._config, job)["cmd"]:
            return False
        return bool(job.files or self.cached(job)) and self._files_are_as_recorded(job)

    def _files_are_as_recorded(self, job: Job) -> bool:
        """Are the files that a job reads and makes, manifests of artifacts among them, the recorded ones?"""
        stage = self._stages[stage_name(self._config, job)]
        read, made = _files(stage.get("deps")), _files(stage.get("outs"))
        if set(read) != {path for path in job.inputs if _is_file(path)}:
            return False
        if set(made) != {path for path in job.outputs if path not in job.directories}:
            return False
        return all(Path(path).is_file() and md5_file(Path(path)) == value for path, value in (read | made).items())

    def restorable(self, job: Job) -> bool:
        """Is it the same, and in DVC's cache, or perhaps in the default remote, which is not asked?"""
        return self.same(job) and (self._has_remote or self.cached(job))

    def cached(self, job: Job) -> bool:
        """Does DVC's cache here have it?"""
        outs = self._stages[stage_name(self._config, job)].get("outs") or []
        value = next((out.get("md5", "") for out in outs if out["path"] == job.output.as_posix()), "")
        return bool(value) and (self._cache / value[:2] / value[2:]).is_file()

    @cached_property
    def _stages(self) -> dict[str, Any]:
        return stages_of(text_of(Path(LOCK_NAME)), LOCK_NAME, self._config)

    @cached_property
    def _params(self) -> dict[str, Any]:
        return read_params(text_of(Path(PARAMS_NAME)), PARAMS_NAME)

    @cached_property
    def _dvc_config(self) -> Any:
        from dvc.config import Config

        return Config(str(Path(".dvc").absolute())) if Path(".dvc").is_dir() else {"core": {}, "cache": {}}

    @property
    def _has_remote(self) -> bool:
        return bool(self._dvc_config["core"].get("remote"))

    @cached_property
    def _cache(self) -> Path:
        return Path(self._dvc_config["cache"].get("dir") or ".dvc/cache", "files", "md5")


def _files(entries: Any) -> dict[str, str]:
    """Hashes of files, by path; folders are told by their manifests."""
    found = {entry["path"]: entry.get("md5", "") for entry in entries or []}
    return {path: value for path, value in found.items() if not value.endswith(".dir")}


def _is_file(path: str) -> bool:
    """Is an input of a job a file? What is an artifact has a manifest beside it."""
    return not manifest_path(Path(path)).is_file()
