"""Endings of image names: one table, and who takes which of them."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from PIL import Image

from pargo.benchmarks.questions import image_extension
from pargo.data.image_names import BENCHMARK, CONVERSATION, EXTENSION, POOL, is_image_name, usual_extension
from pargo.data.images import FolderImages
from pargo.data.rgb import FORMATS
from pargo.errors import PargoError
from pargo.sources.importers.entries import EntryError
from pargo.sources.importers.image_tar import IMAGES
from pargo.sources.importers.references import references

ROOT = Path(__file__).parents[2]


def encode(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind)
    return file.getvalue()


def test_every_format_that_is_read_has_a_name():
    assert EXTENSION.keys() == {"MPO", *FORMATS}
    assert set(EXTENSION.values()) - set(CONVERSATION) == {".bmp"}
    assert {usual_extension(f"x{ending}") for ending in CONVERSATION} <= set(EXTENSION.values())
    assert set(BENCHMARK) < set(POOL) < set(CONVERSATION)
    assert tuple(ending[1:] for ending in POOL) == IMAGES


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a/b.c.Jpeg", "x.png", ".a.png"])
def test_names_of_images(name):
    assert is_image_name(name, BENCHMARK)
    assert is_image_name(Path(name), BENCHMARK)
    assert usual_extension(name) in (".jpg", ".png")


@pytest.mark.parametrize("name", ["", "jpg", ".jpg", "a.jpg/b", "a.jpg.txt", "a.webp", "a."])
def test_names_of_other_files(name):
    assert not is_image_name(name, BENCHMARK)


@pytest.mark.parametrize("kind", FORMATS)
def test_images_of_benchmarks_are_named_by_their_bytes(kind):
    if EXTENSION[kind] in BENCHMARK:
        assert image_extension(encode(kind), "x") == EXTENSION[kind]
    else:
        with pytest.raises(PargoError, match=f"^x: image format {kind}, expected one of JPEG, PNG$"):
            image_extension(encode(kind), "x")


def test_images_in_a_folder(tmp_path):
    for name in ("b.PNG", "a.jpeg", "c.webp", "d.txt", ".png"):
        (tmp_path / name).touch()
    assert FolderImages(tmp_path).ids == ["a.jpeg", "b.PNG"]


def test_an_error_on_names_tells_all_that_are_read():
    with pytest.raises(EntryError, match=r"ends in one of \.gif, \.jpeg, \.jpg, \.png, \.webp$"):
        references(7)


def test_no_other_place_has_a_list_of_them():
    """A tuple, list, set or dict in which two endings stand."""
    found = []
    for path in sorted((ROOT / "pargo").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
                values = node.keys + node.values if isinstance(node, ast.Dict) else node.elts
                texts = {str(value.value).strip(".").lower() for value in values if isinstance(value, ast.Constant)}
                if len(texts & {"jpg", "jpeg", "png", "webp", "gif", "bmp"}) > 1:
                    found.append(path.relative_to(ROOT / "pargo").as_posix())
    assert set(found) == {"data/image_names.py", "data/rgb.py"}  # names, and the formats that Pillow may try
