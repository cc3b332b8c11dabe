"""Files of weights, read and compared strictly: what is missing, unexpected or mis-shaped is listed and refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging

from pargo.errors import InputError


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        InputError: the file is missing, truncated or of another kind.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def check_names_and_shapes(what: str, state: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]]) -> None:
    """Raise InputError listing every tensor that is missing, unexpected or mis-shaped."""
    shapes = [
        f"{name} {list(state[name].shape)} instead of {list(expected[name])}"
        for name in sorted(expected.keys() & state.keys())
        if tuple(state[name].shape) != tuple(expected[name])
    ]
    refuse(
        what,
        missing=sorted(expected.keys() - state.keys()),
        unexpected=sorted(state.keys() - expected.keys()),
        mis_shaped=shapes,
    )


def check_loading_info(what: str, info: Mapping[str, Any]) -> None:
    """Raise InputError listing what transformers found wrong, from its `output_loading_info`."""
    refuse(what, **{kind.removesuffix("_keys"): sorted(map(str, keys)) for kind, keys in info.items()})


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Inside, transformers shows no progress bar for reading and writing weights."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def refuse(what: str, **problems: Sequence[str]) -> None:
    """Raise InputError listing the problems by kind, if there are any."""
    found = [f"{kind.replace('_', '-')}: {', '.join(names)}" for kind, names in problems.items() if names]
    if found:
        raise InputError(f"weights in {what} do not fit the model: {'; '.join(found)}")
