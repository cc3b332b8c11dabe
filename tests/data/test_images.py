"""Images as the wild has them: each odd one is read as people see it, each hostile one refused before it is decoded."""

import io
import random
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from pargo.data.rgb import FORMATS, open_rgb
from pargo.errors import InputError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def load(data: bytes) -> Image.Image:
    return open_rgb(io.BytesIO(data), "the image")


def near(found: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 12) -> bool:
    return max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= tolerance


def png_header(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    """A PNG that is only said to be so large: its pixels are a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(encode(Image.new("RGB", (16, 16)), "JPEG"))
    frame = data.index(b"\xff\xc0") + 5
    data[frame : frame + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_header(width: int, height: int) -> bytes:
    data = bytearray(encode(Image.new("P", (16, 16)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def gif_frame(width: int, height: int) -> bytes:
    """Its first frame is larger than what the file says of itself."""
    data = bytearray(encode(Image.new("P", (16, 16)), "GIF"))
    frame = data.index(b"\x2c\0\0\0\0\x10\0\x10\0") + 5
    data[frame : frame + 4] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp_header(width: int, height: int) -> bytes:
    data = bytearray(encode(Image.new("RGB", (16, 16)), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def webp_canvas(side: int) -> bytes:
    """An animation that is said to be so large: its frames are 4 x 4 pixels."""
    first, second = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))
    data = bytearray(encode(first, "WEBP", save_all=True, append_images=[second], lossless=True))
    place = data.index(b"VP8X") + 12
    data[place : place + 6] = struct.pack("<I", side - 1)[:3] * 2
    return bytes(data)


BOMBS = {
    "png": png_header(30000, 30000),
    "png below the limit of PIL": png_header(12000, 12000),
    "png of one bit": png_header(30000, 30000, 1, 0),
    "jpeg": jpeg_header(30000, 30000),
    "gif": gif_header(30000, 30000),
    "gif's first frame": gif_frame(30000, 30000),
    "bmp": bmp_header(30000, 30000),
    "webp": webp_canvas(30000),
    "webp below the limit of PIL": webp_canvas(12000),
}
READ = """
import io, resource, sys
from pargo.data.rgb import open_rgb
from pargo.errors import InputError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        open_rgb(open(path, "rb"), path)
    except InputError as error:
        print(error)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    """30,000 x 30,000 pixels are 2.7 GB; the process may not have 30 MB more."""
    for number, data in enumerate(BOMBS.values()):
        (tmp_path / str(number)).write_bytes(data)
    paths = [str(tmp_path / str(number)) for number in range(len(BOMBS))]
    command = [sys.executable, "-W", "ignore", "-c", READ, *paths]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    for name, error, kilobytes in zip(BOMBS, lines[::2], lines[1::2], strict=True):
        assert "decompression bomb" in error or "more than 100,000,000 pixels" in error, name
        assert int(kilobytes) < 30_000, name


def test_an_image_that_is_only_long_is_read():
    assert load(encode(Image.new("L", (30000, 2)))).size == (30000, 2)


def test_one_pixel_is_an_image_and_none_is_not():
    assert load(encode(Image.new("RGB", (1, 1), RED))).getpixel((0, 0)) == RED
    with pytest.raises(InputError, match=r"cannot read image|no pixels"):
        load(png_header(0, 5))


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_is_taken_as_adobe_writes_it(adobe):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = encode(red, "JPEG", quality=100)
    assert data.count(b"Adobe") == 1
    if not adobe:
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    assert near(load(data).getpixel((8, 8)), RED)


def transparent(mode: str) -> Image.Image:
    """Red on the left; on the right transparent, where the hidden colour is black."""
    image = Image.new("RGBA", (4, 2), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 2, 2))
    if mode == "LA":
        image = Image.merge("LA", (image.getchannel("A").point(lambda a: 76 if a else 0), image.getchannel("A")))
    return image


def palette() -> bytes:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.paste(0, (0, 0, 2, 2))
    return encode(image, transparency=1)


TRANSPARENT = {
    "palette with one colour": palette(),
    "palette with steps": encode(transparent("RGBA").quantize()),
    "rgba": encode(transparent("RGBA")),
    "rgb with one colour": encode(Image.new("RGB", (4, 2)), transparency=(0, 0, 0)),
    "gray": encode(transparent("LA")),
    "webp": encode(transparent("RGBA"), "WEBP", lossless=True),
    "gif": encode(transparent("RGBA"), "GIF"),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_shows_white(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = load(TRANSPARENT[kind])
    assert image.mode == "RGB"
    assert image.getpixel((3, 1)) == WHITE
    left = {"rgb with one colour": WHITE, "gray": (76, 76, 76)}.get(kind, RED)
    assert near(image.getpixel((0, 0)), left, 2)


def test_half_transparent_is_mixed_with_white():
    assert near(load(encode(Image.new("RGBA", (2, 2), (255, 0, 0, 128)))).getpixel((0, 0)), (255, 127, 127), 1)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_read(kind):
    frames = [Image.new("RGB", (16, 12), color) for color in (RED, (0, 255, 0), (0, 0, 255))]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    image = load(data)
    assert near(image.getpixel((8, 6)), RED)
    assert image.size == (16, 12)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.05])
def test_a_truncated_file_is_refused(kind, share):
    data = encode(NOISE, kind)
    assert load(data).size == (64, 64)
    with pytest.raises(InputError, match="cannot read image the image"):
        load(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_damage_anywhere_gives_an_image_or_an_error_for_users(kind):
    whole, draw = encode(NOISE.resize((24, 24)), kind), random.Random(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 4, 30))):
            data[draw.randrange(draw.choice((60, len(data))))] = draw.randrange(256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert load(bytes(data)).mode == "RGB"
            except InputError:
                refused += 1
    assert refused > 20


def test_a_name_does_not_make_a_format(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(Image.new("RGB", (4, 4), RED)))
    assert open_rgb(path, "x").getpixel((0, 0)) == RED


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 5000, b"no image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff"]
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(InputError, match="cannot read image the image"):
        load(data)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n(/tmp/x) (w) file\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PSD", "TIFF", "ICO", "PPM", "TGA", "JPEG2000", "ICNS", "DDS"])
def test_a_format_that_is_not_wanted_is_refused(kind, monkeypatch):
    """Even where it is opened by somebody else, before it is decoded: EPS would start Ghostscript."""
    image = Image.new("RGB", (64, 64), RED)
    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(12) + b"\0\0" + bytes(48)
    data = {"EPS": EPS, "PSD": psd}.get(kind) or encode(image, kind)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a program"))
    assert kind not in FORMATS
    with pytest.raises(InputError, match="expected one of JPEG, PNG, WEBP, GIF, BMP"):
        load(data)
    if kind != "PDF":  # which PIL only writes
        from pargo.data.rgb import as_rgb

        with pytest.raises(InputError, match=f"has format {kind}"):
            as_rgb(Image.open(io.BytesIO(data)), "x")


def test_sixteen_bits():
    gray = Image.fromarray(np.full((4, 4), 30000, np.uint16))
    with pytest.raises(InputError, match="more than 8 bits"):
        load(encode(gray))
    pixels = struct.pack(">3H", 0xFFFF, 0x8000, 0x00FF)
    color = png_header(1, 1, 16, 2).replace(*_replaced(b"\0", b"\0" + pixels))
    assert load(color).getpixel((0, 0)) == (255, 128, 0)


def _replaced(old: bytes, new: bytes) -> tuple[bytes, bytes]:
    """The chunk of pixels `old` and that of `new`."""

    def chunk(data: bytes) -> bytes:
        packed = zlib.compress(data)
        return struct.pack(">I", len(packed)) + b"IDAT" + packed + struct.pack(">I", zlib.crc32(b"IDAT" + packed))

    return chunk(old), chunk(new)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_turned_as_it_was_taken_once(kind, orientation):
    upright = Image.new("RGB", (32, 16), WHITE)
    upright.paste(RED, (0, 0, 8, 8))  # top left
    methods = (None, 0, 3, 1, 5, 2, 6, 4)  # from upright to how each is stored: PIL's Transpose
    method = methods[orientation - 1]
    stored = upright if method is None else upright.transpose(method)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = load(encode(stored, kind, exif=exif, quality=95))
    assert image.size == (32, 16)
    assert near(image.getpixel((3, 3)), RED, 40)
    assert near(image.getpixel((28, 3)), WHITE, 40)
    assert near(image.getpixel((3, 13)), WHITE, 40)
    assert not image.getexif()


def test_damaged_exif_does_not_cost_the_image():
    for exif in (
        b"Exif\0\0garbage",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert load(encode(Image.new("RGB", (4, 2), RED), "JPEG", exif=exif)).size == (4, 2)


def test_huge_metadata_is_passed_over_or_refused():
    image = Image.new("RGB", (4, 2), RED)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for data in (
        encode(image, "JPEG", icc_profile=profile + bytes(4_000_000)),
        encode(image, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" + bytes(8_000_000)),
    ):
        found = load(data)
        assert near(found.getpixel((0, 0)), RED, 2)
        assert found.info == {}
    with pytest.raises(InputError, match=r"cannot read image the image: .*too large"):
        load(encode(image, icc_profile=profile + bytes(4_000_000)))
    text = PngInfo()
    text.add_text("comment", "x" * 50_000_000, zip=True)
    with pytest.raises(InputError, match=r"cannot read image the image: .*too large"):
        load(encode(image, pnginfo=text))
