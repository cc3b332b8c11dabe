"""What the documentation says about the projector in a model of your own runs as it stands, with three packages."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

from pargo.code import ROOT

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
# what the README asks to install, and what comes with it
HEAVY = ("transformers", "deepspeed", "peft", "snakemake", "submitit", "datasets", "pyarrow", "typer")


def snippets() -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    return [block for text in texts for block in BLOCK.findall(text) if "build_projector(" in block]


@pytest.mark.parametrize("snippet", snippets())
def test_the_snippet_gives_the_shapes_that_it_says(snippet: str) -> None:
    names: dict[str, object] = {}
    with torch.inference_mode():
        exec(snippet, names)  # noqa: S102 - of our own documentation
    assert names["tokens"].shape == (2, 304, 4096)  # type: ignore[attr-defined]
    if "attentions" in names:
        maps = names["attentions"].cross_attention  # type: ignore[attr-defined]
        assert [layer.shape for layer in maps] == [(2, 8, 304, 576)] * 4


def test_there_is_a_snippet() -> None:
    assert snippets()


def test_the_snippet_needs_three_packages() -> None:
    imports = "\n".join(line for line in snippets()[0].splitlines() if line.startswith("from pargo"))
    blocked = f"import sys\nfor name in {HEAVY}: sys.modules[name] = None\n"
    code = f"{blocked}{imports}\nfrom pargo.config.projectors import PROJECTORS, projector_class\n"
    code += "print(*[projector_class(name).__name__ for name in PROJECTORS.names])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "ParGo" in done.stdout.split()
