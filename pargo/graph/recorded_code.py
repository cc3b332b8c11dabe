"""Names the source files behind a changed code hash: those of git's history are compared with those of today."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pargo.code import ROOT, hash_of_meanings, meaning
from pargo.graph.jobs import Job

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
            if len(then) == len(job.code_files) and hash_of_meanings(then) == recorded:
                return [path for path, then_is in then.items() if self._now(path) != then_is]
        return []

    def _now(self, path: str) -> str:
        file = self._root / path
        return meaning(path, file.read_bytes()) if file.is_file() else ""

    def _commits(self) -> list[str]:
        """Commits that changed dvc.lock, the newest first."""
        return self._git("log", f"--max-count={COMMITS}", "--format=%H", "--", "dvc.lock").decode().split()

    def _read(self, commit: str, paths: Iterable[str]) -> dict[str, str]:
        """What the files that the commit has mean, by path."""
        paths = list(paths)
        asked = "".join(f"{commit}:{path}\n" for path in paths)
        answer, files = self._git("cat-file", "--batch", given=asked.encode()), {}
        for path in paths:
            head, _, answer = answer.partition(b"\n")
            if head.endswith(b" missing") or not head:
                continue
            size = int(head.split()[-1])
            files[path], answer = meaning(path, answer[:size]), answer[size + 1 :]
        return files

    def _git(self, *arguments: str, given: bytes = b"") -> bytes:
        """Output of a git command; nothing when it fails, as outside a checkout."""
        done = subprocess.run(["git", *arguments], cwd=self._root, input=given, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else b""
