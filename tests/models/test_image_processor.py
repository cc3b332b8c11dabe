"""Images into pixels: the resize policies, every kind of input, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pargo.data.square import as_seen
from pargo.errors import InputError
from pargo.models.image_processor import PargoImageProcessor
from pargo.sources.random_models import write_random_vision
from tests.helpers.model_builders import vision

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def processor(policy: str = "squash", size: int = 64) -> PargoImageProcessor:
    return PargoImageProcessor(
        resize_policy=policy, size={"height": size, "width": size}, image_mean=MEAN, image_std=STD
    )


def pixels(image, policy: str = "squash") -> np.ndarray:
    """The square that the tower sees, as 8-bit values [H, W, 3]."""
    values = processor(policy)(images=image, return_tensors="pt")["pixel_values"]
    assert values.dtype == torch.float32
    assert values.shape == (1, 3, 64, 64)
    restored = values[0] * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    return (255 * restored).round().to(torch.uint8).permute(1, 2, 0).numpy()


def noise(height: int = 64, width: int = 64, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


def test_values_are_normalised():
    values = processor()(images=Image.fromarray(noise()), return_tensors="pt")["pixel_values"][0]
    expected = (torch.from_numpy(noise()).permute(2, 0, 1).float() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / (
        torch.tensor(STD).view(3, 1, 1)
    )
    assert torch.equal(values, expected)


def test_resize_policies():
    wide = Image.new("RGB", (128, 64), (255, 0, 0))
    wide.paste((0, 0, 255), (32, 0, 96, 64))  # the middle half is blue
    squashed, cropped, padded = (pixels(wide, policy) for policy in ("squash", "crop", "pad"))
    assert (squashed[32, [4, 60]] == (255, 0, 0)).all()
    assert (squashed[32, 32] == (0, 0, 255)).all()
    assert (cropped[4:60, 4:60] == (0, 0, 255)).all()
    background = [round(255 * value) for value in MEAN]
    assert (padded[[4, 60], 32] == background).all()
    assert (padded[32, 4] == (255, 0, 0)).all()


@pytest.mark.parametrize("policy", ["squash", "crop", "pad"])
def test_a_square_of_the_right_size_is_left_alone(policy):
    assert (pixels(Image.fromarray(noise()), policy) == noise()).all()


def test_every_kind_of_image(tmp_path):
    image = Image.fromarray(noise())
    image.save(tmp_path / "x.png")
    for given in (
        image,
        noise(),
        noise().transpose(2, 0, 1),
        torch.from_numpy(noise()).permute(2, 0, 1),
        str(tmp_path / "x.png"),
    ):
        assert (pixels(given) == noise()).all()
    gray = Image.new("L", (64, 64), 9)
    assert (pixels(gray) == 9).all()
    assert (pixels(np.full((1, 64, 64), 9, np.uint8)) == 9).all()
    assert (pixels(Image.new("RGBA", (64, 64), (1, 2, 3, 255))) == (1, 2, 3)).all()


def test_a_batch_of_different_sizes():
    batch = [Image.fromarray(noise(height, width)) for height, width in ((64, 64), (30, 90), (200, 10))]
    values = processor("pad")(images=batch, return_tensors="pt")["pixel_values"]
    assert values.shape == (3, 3, 64, 64)
    assert torch.equal(values[1], processor("pad")(images=batch[1], return_tensors="pt")["pixel_values"][0])


def test_round_trip(tmp_path):
    processor("crop").save_pretrained(tmp_path)
    again = PargoImageProcessor.from_pretrained(tmp_path)
    image = Image.fromarray(noise(40, 80))
    ours, theirs = (p(images=image, return_tensors="pt")["pixel_values"] for p in (processor("crop"), again))
    assert torch.equal(ours, theirs)
    assert again.resize_policy == "crop"


def test_settings_of_a_tower(tmp_path):
    write_random_vision(tmp_path, seed=0)
    made = PargoImageProcessor.for_tower(vision(16, 112, feature_layers=2, resize="pad"), tmp_path)
    assert (made.resize_policy, made.size.height, tuple(made.image_mean)) == ("pad", 64, (0.5, 0.5, 0.5))


# Bad input ------------------------------------------------------------------------------------------------------------


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(200, 200)).save(file, "PNG")
    return file.getvalue()


def test_a_truncated_image_is_refused(tmp_path):
    path = tmp_path / "half.png"
    path.write_bytes(png()[:5000])
    with pytest.raises(ValueError, match=r"cannot read image .*half\.png: .*truncated"):
        processor()(images=Image.open(path))
    with pytest.raises(ValueError, match=r"cannot read image .*half\.png"):
        processor()(images=str(path))


def test_a_damaged_chunk_is_refused(tmp_path):
    """PIL calls it a SyntaxError."""
    damaged = bytearray(png())
    second = 8 + 12 + 13  # signature, and the chunk IHDR
    damaged[second + 4 : second + 8] = b"\0\0\0\0"
    path = tmp_path / "damaged.png"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"cannot read image .*damaged\.png"):
        processor()(images=str(path))


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused(tmp_path, mode):
    image = Image.fromarray(np.full((8, 8), 30000, {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    assert image.mode == mode
    with pytest.raises(ValueError, match="more than 8 bits a channel"):
        processor()(images=image)
    if mode == "I;16":  # the others are no images that PNG has
        image.save(tmp_path / "deep.png")
        with pytest.raises(ValueError, match="more than 8 bits a channel"):
            processor()(images=str(tmp_path / "deep.png"))


def test_photographs_are_turned_as_they_were_taken(tmp_path):
    array = noise(40, 64)
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    Image.fromarray(array).save(path, exif=exif)
    upright = pixels(Image.fromarray(np.rot90(array, -1)))
    assert (pixels(str(path)) == upright).all()
    assert (pixels(Image.open(path)) == upright).all()


@pytest.mark.parametrize(("policy", "side"), [("squash", 20), ("pad", 20), ("crop", 10)])
def test_as_a_tower_sees_it(policy, side):
    assert as_seen(Image.new("RGB", (20, 10)), policy).size == (side, side)


def test_a_very_long_image_needs_no_square_of_its_length():
    """In full, that square would have 30,000 x 30,000 pixels."""
    padded = pixels(Image.new("RGB", (30000, 20), (255, 0, 0)), "pad")
    assert (padded == (255, 0, 0)).all(2).any(1).sum() == 1
    assert as_seen(Image.new("RGB", (30000, 20)), "squash").size == (1024, 1024)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "x.png").write_text("no image")
    with pytest.raises(ValueError, match=r"cannot read image .*x\.png"):
        processor()(images=str(tmp_path / "x.png"))
    with pytest.raises(ValueError, match=r"cannot read image .*absent\.png"):
        processor()(images=str(tmp_path / "absent.png"))


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path):
    # a few bytes that say 20,000 x 20,000
    header = bytearray(png())
    header[16:24] = (20000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    path: Path = tmp_path / "bomb.png"
    path.write_bytes(header)
    with pytest.raises(ValueError, match=r"cannot read image .*bomb\.png: .*decompression bomb"):
        processor()(images=str(path))
    with pytest.raises(InputError, match=r"image .* of 20000 x 6000: more than 100,000,000 pixels"):
        processor()(images=Image.new("1", (20000, 6000)))


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((64, 64, 3), np.float32), r"8-bit values \(uint8\), got float32"),
        (torch.zeros(3, 64, 64), r"8-bit values \(uint8\), got float32"),
        (np.zeros((64, 64, 3), np.uint16), "got uint16"),
    ],
)
def test_other_arrays_are_refused(image, text):
    with pytest.raises(ValueError, match=text):
        processor()(images=image)


def test_no_image_is_refused():
    with pytest.raises(ValueError, match="no image given"):
        processor()(images=[])


def test_an_unknown_policy_is_refused():
    with pytest.raises((ValueError, TypeError), match="stretch"):
        processor("stretch")(images=Image.fromarray(noise(30, 60)))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("do_resize", False),
        ("do_rescale", False),
        ("do_normalize", False),
        ("do_convert_rgb", False),
        ("rescale_factor", 1.0),
        ("resample", 0),
        ("size", {"height": 32, "width": 64}),
        ("size", {"shortest_edge": 32}),
    ],
)
def test_options_that_it_does_not_have_are_refused(option, value):
    with pytest.raises(InputError, match=option):
        processor()(images=Image.fromarray(noise(30, 60)), **{option: value})
    with pytest.raises(InputError, match="do_center_crop"):
        processor()(images=Image.fromarray(noise(30, 60)), do_center_crop=True, crop_size=32)


def test_an_address_without_a_server_is_refused():
    with pytest.raises(InputError, match=r"cannot fetch image http://127\.0\.0\.1:9/x\.png"):
        processor()(images="http://127.0.0.1:9/x.png")
