"""LoRA in a bf16 model: as bf16 weights with float32 masters would compute."""

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from pargo.train.precision import compute_lora_in_model_precision


def test_products_are_in_bf16_and_gradients_in_float32():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16).bfloat16()).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=8, target_modules=["0"], init_lora_weights=False), model)
    layer = model[0]
    down, up = layer.lora_A["default"], layer.lora_B["default"]
    for matrix in (down, up):
        matrix.float()
    names = [name for name, _ in model.named_parameters()]
    compute_lora_in_model_precision(model)
    x = torch.randn(3, 16).bfloat16()
    y = model(x)
    a, b = (matrix.weight.detach().bfloat16().requires_grad_() for matrix in (down, up))
    expected = layer.base_layer(x) + F.linear(F.linear(x, a), b) * 2
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    y.float().square().sum().backward()
    expected.float().square().sum().backward()
    for matrix, low in ((down, a), (up, b)):
        assert matrix.weight.dtype == matrix.weight.grad.dtype == torch.float32
        torch.testing.assert_close(matrix.weight.grad, low.grad.float(), rtol=0, atol=0)
    assert [name for name, _ in model.named_parameters()] == names
