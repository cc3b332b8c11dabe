"""Where a score comes from: its predictions, their model, its data, down to the sources, by the manifests' hashes.

A score file names the manifest of its predictions and that manifest's sha256; an artifact's provenance names its
inputs the same way. The hashes decide: an artifact that was restored from another config names that one's inputs, and
the config of the score has the same in its own places. So the chain that made the score is found, or there is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pargo.benchmarks.scores.score_file import read_score
from pargo.config.base import canonical_json
from pargo.errors import PargoError
from pargo.files import read_json, sha256_file, sha256_text
from pargo.layout import manifest_path
from pargo.manifest import read_provenance

SUFFIX = manifest_path(Path("_")).name.removeprefix("_")


@dataclass(frozen=True)
class Node:
    """One artifact of a chain. Hashes are hex sha256."""

    manifest: str
    sha256: str
    code: str
    settings: str
    hardware: str
    inputs: tuple[str, ...]

    @property
    def directory(self) -> Path:
        return Path(self.manifest.removesuffix(SUFFIX))


@dataclass(frozen=True)
class Chain:
    """A score file and all artifacts behind it, nearest first: predictions, then their inputs, then theirs."""

    score: str
    sha256: str
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]

    def model(self, weights: str, seed: int) -> Node:
        """The trained model that gave the answers: the nearest artifact with such a file, trained with this seed."""
        return self._find(
            f"the file {weights} and seed {seed}",
            lambda files, settings: weights in files and settings.get("seed") == seed,
        )

    def predictions(self) -> Node:
        """The answers that were scored."""
        return self._find("the file predictions.jsonl", lambda files, _: "predictions.jsonl" in files)

    def source(self) -> Node:
        """The source of the questions that were answered.

        The answers name it as their config did when they were made, so it is found by its hash.
        """
        answers = read_provenance(self.predictions().directory)
        name = answers["settings"]["benchmark"]["source"]
        hashes = [digest for path, digest in answers["inputs"].items() if path.endswith(f"/sources/{name}{SUFFIX}")]
        for node in self.nodes:
            if node.sha256 in hashes:
                return node
        raise PargoError(f"no artifact behind {self.score} is the source {name} of its questions")

    def _find(self, wanted: str, fits: Callable[[dict[str, Any], dict[str, Any]], bool]) -> Node:
        for node in self.nodes:
            if fits(read_json(Path(node.manifest))["files"], read_provenance(node.directory)["settings"]):
                return node
        raise PargoError(f"no artifact behind {self.score} has {wanted}")


def follow(score: Path) -> Chain:
    """The chain behind one score file; errors as of `Follower.follow`."""
    return Follower().follow(score)


class Follower:
    """Follows chains; what lies behind several scores is read once."""

    def __init__(self) -> None:
        self._hashes: dict[Path, str] = {}
        self._made: dict[str, dict[str, Any]] = {}

    def follow(self, score: Path) -> Chain:
        """The chain behind a score file.

        Paths in manifests are relative to the project root, so this runs there.

        Raises:
            PargoError: no score file; or a manifest is missing, or not the one that was read when the score was made.
        """
        recorded = read_score(score).record.inputs
        if not recorded:
            raise PargoError(f"{score}: no inputs recorded, so nobody can tell which predictions were scored")
        config = score.parts[score.parts.index("reports") + 1] if "reports" in score.parts else ""

        def found(inputs: Mapping[str, str], reader: str) -> list[tuple[str, str]]:
            return sorted((self._find(name, sha256, config, reader), sha256) for name, sha256 in inputs.items())

        first = todo = found(recorded, score.as_posix())
        nodes: dict[str, Node] = {}
        while todo:
            (name, sha256), *todo = todo
            if name in nodes:
                continue
            made = self._provenance(name)
            inputs = found(made["inputs"], name)
            nodes[name] = Node(
                manifest=name,
                sha256=sha256,
                code=made["code"],
                settings=sha256_text(canonical_json(made["settings"])),
                hardware=made["hardware"],
                inputs=tuple(child for child, _ in inputs),
            )
            todo += inputs
        return Chain(score.as_posix(), sha256_file(score), tuple(name for name, _ in first), tuple(nodes.values()))

    def _provenance(self, manifest: str) -> dict[str, Any]:
        if manifest not in self._made:
            self._made[manifest] = read_provenance(Path(manifest.removesuffix(SUFFIX)))
        return self._made[manifest]

    def _hash(self, path: Path) -> str:
        """Empty where there is no such file."""
        if path not in self._hashes:
            self._hashes[path] = sha256_file(path) if path.is_file() else ""
        return self._hashes[path]

    def _find(self, name: str, sha256: str, config: str, reader: str) -> str:
        """The manifest with this hash: in the config's own place, else in one of the same kind, else where it is named.

        Names of configs, arms and datasets are labels: an artifact that was restored may name its inputs by others.
        """
        own, others = Path(name), Path()
        match name.split("/"):
            case ["artifacts", _, kind, *rest] if config:
                own, others = Path("artifacts", config, kind, *rest), Path("artifacts", config, kind)
        if self._hash(own) == sha256:
            return own.as_posix()
        for path in (*(sorted(others.rglob(f"*{SUFFIX}")) if others.parts else ()), Path(name)):
            if self._hash(path) == sha256:
                return path.as_posix()
        state = f"now has {self._hash(own)[:12]}" if own.is_file() else "does not exist"
        raise PargoError(f"{reader} was made from {own} with sha256 {sha256[:12]}, which {state}: run it again")
