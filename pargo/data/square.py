"""How an image that is not square becomes one: the policies of the vision tower's input."""

from __future__ import annotations

from PIL import Image

POLICIES = ("squash", "pad", "crop")


def fit(image: Image.Image, size: int, policy: str, background: tuple[int, ...]) -> Image.Image:
    """An RGB image as a square of `size` pixels.

    Args:
        policy: `squash`, `pad` (with the background colour) or `crop`.
    """
    if policy == "pad" and image.width != image.height:
        # scaled before it is padded: the square around a long image may be too large for the memory
        scale = size / max(image.size)
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.BICUBIC)
        square = Image.new("RGB", (size, size), background)
        square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
        return square
    box = None
    if policy == "crop":
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return image


def as_seen(image: Image.Image, policy: str) -> Image.Image:
    """The square of an image that a tower sees by this policy, in the image's own size (1024 pixels at most)."""
    side = min(image.size) if policy == "crop" else max(image.size)
    return fit(image, min(side, 1024), policy, background=(128, 128, 128))
