"""A tiny Llama with a byte tokenizer, as a language model source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pargo.sources.random_models import write_random_language


@pytest.fixture(scope="session")
def language_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("language") / "llama"
    path.mkdir()
    write_random_language(path, hidden_size=32, num_layers=2, num_heads=4, seed=0)
    state = load_file(path / "model.safetensors")
    # sharper weights: the answers of a fresh model hardly depend on its input
    generator = torch.Generator().manual_seed(1)
    noisy = {name: tensor + 0.2 * torch.randn(tensor.shape, generator=generator) for name, tensor in state.items()}
    save_file(noisy, path / "model.safetensors", {"format": "pt"})
    return path
