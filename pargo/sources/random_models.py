"""Small models with seeded random weights in the formats of the real ones: tests run the whole graph on them."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pargo.sources.importers.language import save_language_model
from pargo.sources.importers.vision import save_vision_tower

VISION_ARCHITECTURE = "test_efficientnet"
END, PAD = "<|endoftext|>", "<|pad|>"


def write_random_vision(directory: Path, *, seed: int) -> None:
    """A 0.4 M-parameter convolutional tower of timm; its last two feature maps have 48 and 64 channels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = timm.create_model(VISION_ARCHITECTURE, pretrained=False)
    save_vision_tower(directory, VISION_ARCHITECTURE, model.state_dict(), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def write_random_language(directory: Path, *, hidden_size: int, num_layers: int, num_heads: int, seed: int) -> None:
    """A Llama of 258 tokens (the bytes, end of text, padding) in float32."""
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    save_language_model(directory, config, model.state_dict(), tokenizer, dtype=torch.float32)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per UTF-8 byte and no merges: any text can be written, whatever it says."""
    vocabulary = {byte: index for index, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=PAD)
