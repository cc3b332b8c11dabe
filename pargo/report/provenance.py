"""Where a score comes from: its predictions, their model, its data, down to the sources, by the manifests' hashes.

A score file names the manifest of its predictions and that manifest's sha256; an artifact's provenance names its
inputs the same way. Following the names and checking the hashes gives the one chain that made the score, or an error.
"""

from __future__ import annotations

from collections.abc import Callable
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

    def source(self, name: str) -> Node:
        """A downloaded or generated source by the name it has in the config."""
        return self._find(f"the source {name}", lambda _, settings: settings.get("id") == name)

    def _find(self, wanted: str, fits: Callable[[dict[str, Any], dict[str, Any]], bool]) -> Node:
        for node in self.nodes:
            if fits(read_json(Path(node.manifest))["files"], read_provenance(node.directory)["settings"]):
                return node
        raise PargoError(f"no artifact behind {self.score} has {wanted}")


def follow(score: Path) -> Chain:
    """The chain behind a score file.

    Paths in manifests are relative to the project root, so this runs there.

    Raises:
        PargoError: no score file; or a manifest is missing, or not the one that was read when the score was made.
    """
    recorded = read_score(score).record.inputs
    if not recorded:
        raise PargoError(f"{score}: no inputs recorded, so nobody can tell which predictions were scored")
    todo = [(manifest, sha256, score.as_posix()) for manifest, sha256 in sorted(recorded.items())]
    nodes: dict[str, Node] = {}
    while todo:
        name, expected, reader = todo.pop(0)
        path = Path(name)
        found = sha256_file(path) if path.is_file() else None
        if found is None or found != expected:
            state = "does not exist" if found is None else f"now has {found[:12]}"
            raise PargoError(f"{reader} was made from {name} with sha256 {expected[:12]}, which {state}: run it again")
        if name in nodes:
            continue
        made = read_provenance(Path(name.removesuffix(SUFFIX)))
        nodes[name] = Node(
            manifest=name,
            sha256=found,
            code=made["code"],
            settings=sha256_text(canonical_json(made["settings"])),
            hardware=made["hardware"],
            inputs=tuple(sorted(made["inputs"])),
        )
        todo += [(child, sha256, name) for child, sha256 in sorted(made["inputs"].items())]
    return Chain(score.as_posix(), sha256_file(score), tuple(sorted(recorded)), tuple(nodes.values()))
