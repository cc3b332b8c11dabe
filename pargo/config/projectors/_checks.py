"""Checks of numbers that must fit each other, with the choices in the message."""

from __future__ import annotations

from pargo.errors import InputError


def check_divides(field: str, parts: int, num_patches: int) -> None:
    """Raise InputError with the choices when the patches cannot be divided evenly."""
    if num_patches % parts:
        divisors = [str(n) for n in range(1, num_patches + 1) if num_patches % n == 0]
        raise InputError(
            f"{field}: {num_patches} patches cannot be divided evenly by {parts}; choices: {', '.join(divisors)}"
        )


def check_heads(hidden_size: int, num_heads: int) -> None:
    """Raise InputError when attention heads would not be of equal size."""
    if hidden_size % num_heads:
        raise InputError(f"num_heads: hidden_size {hidden_size} is not a multiple of {num_heads}")
