"""Images as the vision tower wants them: RGB, a square of one size by a named policy, normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx2
import numpy as np
from PIL import Image
from torch import Tensor
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD, ImageInput, PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs

from pargo.config.models import Vision
from pargo.data.rgb import UNREADABLE, as_rgb, open_rgb
from pargo.data.square import POLICIES, fit
from pargo.errors import InputError
from pargo.models.vision import read_vision_source

# options of transformers' processors that this one does not have: it always does one and the same
FIXED = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
    "do_center_crop": False,
    "rescale_factor": 1 / 255,
    "resample": PILImageResampling.BICUBIC,
}


class PargoImageProcessorKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]
    """
    resize_policy (`str`):
        How an image that is not square becomes one: `squash`, `pad` or `crop`.
    """

    resize_policy: Literal["squash", "pad", "crop"]


class PargoImageProcessor(PilBackend):
    """Images -> `pixel_values` [B, 3, size, size] float32.

    `squash` ignores the aspect ratio; `pad` centres the image on a square of the mean colour; `crop` takes the central
    square. All are bicubic.

    Raises:
        InputError: an image that cannot be had or decoded, of more than 100 million pixels, or of other than 8 bits; or
            an option of transformers' that would change what is done.
    """

    valid_kwargs = PargoImageProcessorKwargs
    resize_policy = "pad"
    size = {"height": 336, "width": 336}  # noqa: RUF012 - transformers' way to give defaults
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    resample = PILImageResampling.BICUBIC
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True

    @classmethod
    def for_tower(cls, settings: Vision, directory: Path) -> PargoImageProcessor:
        """The processor of a config's tower; mean and std are those of its source directory."""
        source = read_vision_source(directory)
        return cls(
            resize_policy=settings.resize,
            size={"height": settings.image_size, "width": settings.image_size},
            image_mean=source["mean"],
            image_std=source["std"],
        )

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Images from paths or addresses; an error names the one that cannot be read."""
        if isinstance(image_url_or_urls, list | tuple):
            return [self.fetch_images(item) for item in image_url_or_urls]
        name = image_url_or_urls if isinstance(image_url_or_urls, str) else type(image_url_or_urls).__name__
        try:
            if Path(name).is_file():
                return open_rgb(Path(name), name)
        except OSError:  # longer than a path may be: data
            pass
        try:
            return super().fetch_images(image_url_or_urls)
        except UNREADABLE as error:
            raise InputError(f"cannot read image {name[:200]}: {error}") from error
        except httpx2.HTTPError as error:
            raise InputError(f"cannot fetch image {name[:200]}: {error}") from error

    def process_image(self, image: ImageInput, **options: Any) -> Image.Image:
        """One image of any kind that transformers knows, decoded, RGB."""
        _refuse_options(options)
        if not isinstance(image, Image.Image):
            image = _from_array(image)
        return as_rgb(image, getattr(image, "filename", "") or f"{image.width} x {image.height}")

    def _preprocess(
        self,
        images: Sequence[Image.Image],
        size: SizeDict,
        resize_policy: str,
        image_mean: Sequence[float],
        image_std: Sequence[float],
        return_tensors: str | None = None,
        **options: Any,
    ) -> BatchFeature:
        if resize_policy not in POLICIES:
            raise InputError(f"resize_policy: {resize_policy!r} is not known; choices: {', '.join(POLICIES)}")
        if not images:
            raise InputError("no image given")
        _refuse_options(options)
        if not size.height or size.height != size.width:
            wanted = {name: side for name, side in dict(size).items() if side is not None}
            raise InputError(f"size: expected a height and the same width, got {wanted}")
        background = tuple(round(255 * value) for value in image_mean)
        squares = [fit(image, size.height, resize_policy, background) for image in images]
        pixels = np.stack([np.asarray(square) for square in squares]).transpose(0, 3, 1, 2)
        mean, std = (np.array(values, dtype=np.float32).reshape(1, 3, 1, 1) for values in (image_mean, image_std))
        values = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return BatchFeature(data={"pixel_values": values}, tensor_type=return_tensors)


def _refuse_options(options: Mapping[str, Any]) -> None:
    for name, done in FIXED.items():
        given = options.get(name)
        if given is not None and given != done:
            raise InputError(f"{name}: images are always processed with {name}={done!r}, not {given!r}")


def _from_array(image: Any) -> Image.Image:
    """An array or tensor [H, W, C] or [C, H, W], with 1, 3 or 4 channels, as an image."""
    array = image.cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if array.dtype != np.uint8:
        raise InputError(f"expected an image of 8-bit values (uint8), got {array.dtype}")
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not array.size or array.shape[2:] not in ((), (3,), (4,)):
        raise InputError(f"expected an image of shape [H, W, 3], got {list(array.shape)}")
    return Image.fromarray(np.ascontiguousarray(array))
