"""The fused attention and RMSNorm against transformers' own, values and gradients."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pargo.models.fused import FrozenRMSNorm, fuse


def llamas(num_kv_heads: int, dtype: torch.dtype) -> list[LlamaForCausalLM]:
    """The same random model twice: plain with eager attention, and fused."""
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=num_kv_heads,
        attn_implementation="eager",
    )
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        models.append(model.to(dtype).requires_grad_(False))
    fuse(models[1])
    return models


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_same_values_and_gradients(num_kv_heads, padded):
    embeddings = torch.randn(3, 9, 32)
    mask = torch.ones(3, 9, dtype=torch.long)
    if padded:
        mask[0, :4] = 0
    real = mask.bool()
    results = []
    for model in llamas(num_kv_heads, torch.float32):
        x = embeddings.clone().requires_grad_()
        hidden = model.model(inputs_embeds=x, attention_mask=mask if padded else None).last_hidden_state
        hidden[real].sin().sum().backward()
        results.append((hidden.detach()[real], x.grad[real]))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_same_generation_with_cache():
    plain, fused = llamas(2, torch.float32)
    prompt = torch.randint(0, 40, (2, 6))
    answers = [model.generate(prompt, max_new_tokens=8, do_sample=False, pad_token_id=0) for model in (plain, fused)]
    assert torch.equal(*answers)


def test_norm_gradient_by_finite_differences():
    norm = FrozenRMSNorm(6).double().requires_grad_(False)
    norm.weight.normal_()
    x = torch.randn(2, 3, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(norm(x).sin().sum(), x)
    reference = x.detach().double().requires_grad_()
    scaled = reference * torch.rsqrt(reference.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
    (expected,) = torch.autograd.grad((norm.weight * scaled).sin().sum(), reference)
    torch.testing.assert_close(gradient.double(), expected, atol=1e-5, rtol=1e-4)


def test_bf16_is_as_close_to_float32_as_the_plain_model():
    embeddings = torch.randn(2, 7, 32)
    exact = llamas(2, torch.float32)[0].model(inputs_embeds=embeddings).last_hidden_state
    errors = [
        (model.model(inputs_embeds=embeddings.bfloat16()).last_hidden_state.float() - exact).norm()
        for model in llamas(2, torch.bfloat16)
    ]
    assert errors[1] < 1.2 * errors[0]
