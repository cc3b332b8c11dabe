"""Exported models, loaded again."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText, AutoProcessor

import pargo.models.auto  # noqa: F401 - makes the classes known to the Auto classes
from pargo.data.pieces import PIECE_MARKS
from pargo.errors import InputError
from pargo.models.processor import PargoProcessor
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.models.weights import no_progress_bar


def load_exported(directory: Path) -> tuple[PargoForConditionalGeneration, PargoProcessor]:
    """An exported model and its processor, on the GPU if there is one; never asks the network.

    Raises:
        InputError: there is none in the directory, or its weights are not complete.
    """
    require_exported(directory)
    try:
        with no_progress_bar():
            processor = load_processor(directory)
            model = AutoModelForImageTextToText.from_pretrained(
                directory, dtype="auto", local_files_only=True, use_safetensors=True
            )
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{directory} holds no exported model: {error}") from error
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), processor


def load_processor(directory: Path) -> PargoProcessor:
    """The processor of an exported model."""
    return AutoProcessor.from_pretrained(directory, local_files_only=True, backend="pil")


def require_exported(directory: Path) -> None:
    """Raise InputError if the directory does not look like an exported model, or is one of an earlier version."""
    if not (directory / "config.json").is_file():
        raise InputError(f"{directory} holds no exported model: it has no config.json")
    template = directory / "chat_template.jinja"
    if template.is_file() and PIECE_MARKS not in template.read_text(encoding="utf-8"):
        raise InputError(
            f"{template} does not say where the pieces of a prompt begin, so questions might get other token ids than "
            "in training: the model was exported by an earlier version, export it again"
        )
