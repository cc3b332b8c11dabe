"""What GPUs can do at most, for the use of it that a training reaches (MFU) and that `pargo plan` assumes."""

from __future__ import annotations

# Dense bf16 products per second, without sparsity: NVIDIA's data sheets (SXM where there are several).
PEAKS: dict[str, float] = {
    "H200": 989.4e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A10": 125e12,
    "RTX 4090": 165.2e12,
}
