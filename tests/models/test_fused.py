"""The fused layers against transformers' own, values and gradients: packed samples, grouped keys, LoRA anywhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from pargo.models.fused import FusedLlama, can_fuse
from pargo.models.segments import Segments
from pargo.train.precision import compute_lora_in_model_precision

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LENGTHS = [5, 9, 1, 9]
WIDTH = 64  # four heads of 16: queries are scaled by a power of two, as with heads of 64


def llama(
    num_kv_heads: int = 2, adapted: list[str] | None = None, dtype: torch.dtype = torch.float32, **lora
) -> LlamaForCausalLM:
    """A random frozen Llama, with random LoRA on some layers."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=num_kv_heads,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.to(dtype).requires_grad_(False)
    if adapted:
        options = {"r": 3, "lora_alpha": 5, "init_lora_weights": False} | lora
        inject_adapter_in_model(LoraConfig(target_modules=adapted, **options), model)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
    return model


def both(
    model: LlamaForCausalLM, lengths: list[int], rows: list[int], recompute: bool = False, seed: int = 1
) -> list[list[Tensor]]:
    """Hidden states and gradients: each sample alone through transformers' layers, and all in a row through ours."""
    decoder = model.model
    x = torch.randn(sum(lengths), WIDTH, generator=torch.Generator().manual_seed(seed))
    x = x.to(next(decoder.parameters()).dtype)
    wanted = torch.tensor(rows)
    results = []
    for ours in (False, True):
        inputs = x.clone().requires_grad_()
        model.zero_grad()
        if ours:
            hidden = FusedLlama(decoder, recompute=recompute)(inputs, Segments.of(lengths), wanted)
        else:
            alone = [
                decoder(inputs_embeds=part[None], use_cache=False).last_hidden_state[0]
                for part in inputs.split(lengths)
            ]
            hidden = torch.cat(alone)[wanted]
        hidden.float().sin().sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append([hidden.detach(), inputs.grad, *gradients])
    return results


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("adapted", [None, ["q_proj", "v_proj"], LAYERS])
@pytest.mark.parametrize("recompute", [False, True])
def test_same_values_and_gradients(num_kv_heads, adapted, recompute):
    model = llama(num_kv_heads, adapted)
    assert can_fuse(model.model)
    theirs, ours = both(model, LENGTHS, [0, 3, 7, 14, 20, 23], recompute)
    assert len(ours) == len(theirs) == 2 + 6 * len(adapted or [])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.data())
def test_any_lengths_and_rows(lengths, data):
    rows = data.draw(st.lists(st.integers(0, sum(lengths) - 1), min_size=1, unique=True).map(sorted))
    theirs, ours = both(llama(), lengths, rows)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_no_sample_sees_another():
    fused = FusedLlama(llama(adapted=LAYERS).model)
    x, segments, rows = torch.randn(sum(LENGTHS), WIDTH), Segments.of(LENGTHS), torch.arange(sum(LENGTHS))
    before = fused(x, segments, rows)
    for start, stop in segments.bounds:
        changed = x.clone()
        changed[start:stop] += torch.randn(stop - start, WIDTH)
        others = torch.ones(len(x), dtype=torch.bool)
        others[start:stop] = False
        after = fused(changed, segments, rows)
        assert torch.equal(after[others], before[others])
        assert not torch.isclose(after[start:stop], before[start:stop]).all(1).any()


def test_no_token_sees_a_later_one():
    fused = FusedLlama(llama().model)
    x, segments, rows = torch.randn(9, WIDTH), Segments.of([9]), torch.arange(9)
    changed = x.clone()
    changed[5] += 1
    one, other = fused(x, segments, rows), fused(changed, segments, rows)
    assert torch.equal(one[:5], other[:5])
    assert not torch.isclose(one[5:], other[5:]).all(1).any()


def test_bf16_is_as_close_to_float32_as_transformers_layers():
    """Over several inputs: the error of one small gradient is by chance half or twice that of the other."""
    model, rounded = llama(adapted=LAYERS), llama(adapted=LAYERS, dtype=torch.bfloat16)
    compute_lora_in_model_precision(rounded)
    errors = []
    for seed in range(12):
        exact = both(model, LENGTHS, list(range(24)), seed=seed)[0]
        results = both(rounded, LENGTHS, list(range(24)), seed=seed)
        errors.append([[(one.float() - e).norm() / e.norm() for one, e in zip(r, exact, strict=True)] for r in results])
    theirs, ours = torch.tensor(errors).median(0).values
    assert theirs.max() < 0.02
    assert (ours < 1.5 * theirs).all()
    assert ours.mean() < 1.05 * theirs.mean()


def test_weights_stay_where_they_were():
    model = llama(adapted=["q_proj"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tokens = torch.randint(0, 40, (2, 6))
    answer = model.generate(tokens, max_new_tokens=5, do_sample=False, pad_token_id=0)
    FusedLlama(model.model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(answer, model.generate(tokens, max_new_tokens=5, do_sample=False, pad_token_id=0))


def test_what_it_does_not_compute_is_not_fused():
    assert not can_fuse(llama(adapted=["q_proj"], lora_dropout=0.1).model)
    assert not can_fuse(llama(adapted=["q_proj"], use_dora=True).model)
    assert not can_fuse(llama().requires_grad_(True).model)
    assert not can_fuse(GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=9)).transformer)
    biased = LlamaConfig(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, attention_bias=True)
    assert not can_fuse(LlamaForCausalLM(biased).requires_grad_(False).model)
