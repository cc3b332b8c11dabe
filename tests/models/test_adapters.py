"""LoRA: where it may be put, that all of it is trained, and that merging it changes no logits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    PreTrainedModel,
    Qwen2Config,
)

from pargo.config.models import Adapter, Language
from pargo.errors import InputError
from pargo.export.model import merge_lora, probe
from pargo.models.language import add_lora, load_language_model

ROWS = 97
SMALL = {"vocab_size": ROWS, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0}
HEADS = {"num_attention_heads": 4, "intermediate_size": 48}
CONFIGS = {
    "llama": LlamaConfig(**SMALL, **HEADS, num_key_value_heads=2),
    "tied llama": LlamaConfig(**SMALL, **HEADS, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SMALL, **HEADS, num_key_value_heads=2),
    "gpt2": GPT2Config(vocab_size=ROWS, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    "mamba": MambaConfig(**SMALL, state_size=4),
}
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ACCEPTED = [
    *(("llama", (target,)) for target in LLAMA),
    *((name, "all-linear") for name in CONFIGS if name != "mamba"),
    ("mamba", ("in_proj", "x_proj")),
    ("llama", ("self_attn.q_proj", "layers.1.mlp.up_proj")),
    ("tied llama", r".*\.(q|v)_proj"),
    ("gpt2", ("c_attn",)),
    ("gpt2", ("c_fc", "mlp.c_proj")),
    ("qwen2", ("q_proj", "v_proj")),
]


def build(name: str, adapter: Adapter | None = None) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval().requires_grad_(False)
    if adapter is not None:
        add_lora(model, adapter, seed=1)
    return model


def lora(targets, rank: int = 4) -> Adapter:
    return Adapter(rank=rank, alpha=8, target_modules=targets)


def trainable(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(("name", "targets"), ACCEPTED)
@pytest.mark.parametrize("rank", [4, 100], ids=["rank 4", "rank above the size of the layer"])
def test_all_is_trained_and_merging_changes_no_logits(name, targets, rank):
    model = build(name, lora(targets, rank))
    assert all("lora_" in parameter for parameter in trainable(model))
    assert {parameter.dtype for parameter in trainable(model).values()} == {torch.float32}
    with torch.no_grad():
        for parameter, values in trainable(model).items():
            if "lora_B" in parameter:
                values.normal_(std=0.3)  # as if trained
    hidden = model.get_decoder()(input_ids=torch.arange(12).unsqueeze(0)).last_hidden_state
    (hidden @ model.get_output_embeddings().weight.T).square().sum().backward()  # as the loss computes it
    assert all(values.grad is not None and values.grad.any() for values in trainable(model).values())
    with torch.no_grad():
        before = probe(model, ROWS)
        after = probe(merge_lora(model), ROWS)
        plain = probe(build(name), ROWS)
    torch.testing.assert_close(after, before, atol=1e-4 * before.std().item(), rtol=1e-4)
    assert (before - plain).abs().max() > 0.01 * plain.std()  # else the test could not fail
    assert not any("lora_" in parameter for parameter, _ in model.named_parameters())


REFUSED = [
    ("llama", r".*(lm_head|q_proj)", r"lm_head is the output layer, whose weight the loss reads itself"),
    ("tied llama", r".*embed_tokens", r"model\.embed_tokens holds the embeddings, which may be one matrix with the"),
    ("llama", r".*embed_tokens", r"model\.embed_tokens holds the embeddings"),
    ("gpt2", ("wpe",), r"transformer\.wpe is a Embedding, not a linear layer"),
    ("mamba", ("conv1d",), "Module 'conv1d' is incompatible with Mamba"),
    ("mamba", "all-linear", "Module 'out_proj' is incompatible with Mamba"),
    ("llama", ("input_layernorm",), r"input_layernorm|LlamaRMSNorm"),
    ("llama", ("q_proj", "wqkv"), r"no layer is called wqkv; choices: down_proj, gate_proj, k_proj, lm_head, o_proj"),
    ("llama", ("wqkv",), "wqkv"),
    ("llama", ("q_proj", "vision_tower"), "no layer is called vision_tower"),
    ("llama", ("q_proj", "projector.output"), r"no layer is called projector\.output"),
    ("gpt2", ("c_attn", "q_proj"), "no layer is called q_proj; choices: c_attn, c_fc, c_proj"),
    ("llama", r".*\.nothing", "nothing"),
]


@pytest.mark.parametrize(("name", "targets", "message"), REFUSED)
def test_what_would_not_be_trained_is_refused(name, targets, message):
    with pytest.raises(InputError, match=rf"lora\.target_modules: .*({message})"):
        build(name, lora(targets))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("lm_head",), "lm_head is the language model's output layer, whose weight the loss reads itself"),
        (("q_proj", "model.lm_head"), "model.lm_head is the language model's output layer"),
        (("embed_tokens",), "embed_tokens is the language model's embeddings layer, which may be one matrix with"),
        (("wte",), "wte is the language model's embeddings layer"),
        ((), "target_modules is empty: name linear layers, or write all-linear"),
        ("", "target_modules is empty"),
        ("q_proj", "target_modules: write a list, [q_proj], or all-linear"),
        (".*(q_proj", "'.*(q_proj' is no regular expression: missing )"),
    ],
)
def test_what_a_config_shows_is_refused_there(targets, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        lora(targets)


@pytest.mark.parametrize("extra", [{"modules_to_save": ["lm_head"]}, {"bias": "all"}, {"use_dora": True}])
def test_other_settings_of_peft_are_no_settings_here(extra):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Adapter(rank=4, alpha=8, **extra)


def test_nothing_but_adapters_is_trainable(language_dir: Path):
    model = load_language_model(Language(source="llama", precision="bf16"), language_dir)
    assert not trainable(model)
    add_lora(model, lora("all-linear"), seed=0)
    assert trainable(model)
    assert all("lora_" in name for name in trainable(model))
