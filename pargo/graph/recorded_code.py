"""Names the source files behind a changed code hash: those of git's history are compared with those of today."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pargo.code import ROOT
from pargo.files import sha256_file
from pargo.graph.snakemake import Job
from pargo.manifest import hash_of_files

COMMITS = 10  # of those that changed dvc.lock: how many are looked at


class RecordedCode:
    """Source files as they were at the commits that recorded a run."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._files_at = cache(self._read)

    def changed_files(self, job: Job, recorded: str) -> list[str]:
        """Files of a job that are not as they were when its code had the recorded hash.

        Empty when it is not known: the history is not there, or the job then had other files than today.
        """
        for commit in self._commits():
            then = self._files_at(commit, job.code_files)
            if len(then) == len(job.code_files) and hash_of_files(then) == recorded:
                return [path for path, digest in then.items() if sha256_file(self._root / path) != digest]
        return []

    def _commits(self) -> list[str]:
        """Commits that changed dvc.lock, the newest first."""
        return self._git("log", f"--max-count={COMMITS}", "--format=%H", "--", "dvc.lock").decode().split()

    def _read(self, commit: str, paths: Iterable[str]) -> Mapping[str, str]:
        """sha256 by path of the files that the commit has."""
        paths = list(paths)
        asked = "".join(f"{commit}:{path}\n" for path in paths)
        answer, files = self._git("cat-file", "--batch", given=asked.encode()), {}
        for path in paths:
            head, _, answer = answer.partition(b"\n")
            if head.endswith(b" missing") or not head:
                continue
            size = int(head.split()[-1])
            files[path], answer = hashlib.sha256(answer[:size]).hexdigest(), answer[size + 1 :]
        return files

    def _git(self, *arguments: str, given: bytes = b"") -> bytes:
        """Output of a git command; nothing when it fails, as outside a checkout."""
        done = subprocess.run(["git", *arguments], cwd=self._root, input=given, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else b""
