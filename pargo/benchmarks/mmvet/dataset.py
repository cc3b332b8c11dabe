"""MM-Vet's questions and images from the official files or the hub's parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pargo.benchmarks.formats.official import Files, open_files
from pargo.benchmarks.formats.rows import decode, read_bytes
from pargo.benchmarks.mmvet.hub import read_hub
from pargo.benchmarks.mmvet.meta import META, parse_meta
from pargo.benchmarks.questions import image_extension, read_source, write_source
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.mmvet import MMVet
from pargo.data.image_names import BENCHMARK, is_image_name
from pargo.errors import PargoError


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Fill `directory`, one split's folder, from MM-Vet's files.

    Args:
        paths: `mm-vet.json` and the folder or zip of images; or one folder or zip that holds both (`mm-vet.json`, and
            `images/` beside it); or the hub's parquet files, or a folder or zip of them.
        directory: see `pargo.benchmarks.questions`.

    Raises:
        PargoError: other files, an entry that is no question, or a question without its image; names file and line.
    """
    with open_files(paths) as files:
        tables = files.with_suffix(".parquet")
        questions, images = read_hub(tables) if tables else _read_official(paths, files)
        write_source(directory, *_with_extensions(questions, images))


def read_questions(source: Path, benchmark: MMVet) -> list[Question]:
    """The questions of a split, in official order; PargoError names file and line."""
    return read_source(source / benchmark.split)


def _read_official(paths: Sequence[Path], files: Files) -> tuple[list[Question], dict[str, bytes]]:
    folders = [path for path in paths if path.suffix != ".json"]
    if len(paths) > 2 or len(folders) != 1:
        raise PargoError(
            f"mmvet is imported from {META} and its folder of images, from a folder or zip of both, or from parquet; "
            f"got {files.where}"
        )
    if len(paths) == 1:
        found = files.named(META)
        if not found:
            raise PargoError(f"{files.where} holds no {META}")
        where, data, base = found[0].where, found[0].read(), found[0].name.removesuffix(META)
    else:
        meta = next(path for path in paths if path.suffix == ".json")
        where, data, base = str(meta), read_bytes(meta), ""
    questions = list(parse_meta(decode(data, where), where).values())
    images = {}
    for question in questions:
        places = [f"{base}images/{question.image}", f"{base}{question.image}"]
        found = [files.by_path[place] for place in places if place in files.by_path]
        if not found:
            raise PargoError(f"{where}: question {question.id}: no image {question.image!r} in {files.where}")
        images[question.image] = found[0].read()
    return questions, images


def _with_extensions(
    questions: Sequence[Question], images: dict[str, bytes]
) -> tuple[list[Question], Iterator[tuple[str, bytes]]]:
    """Images whose names do not say that they are images get the ending that their bytes call for."""
    names = {}
    for name, data in images.items():
        plain = name.isprintable() and len(name.encode()) < 200 and not {"/", "\\"} & set(name)
        if not plain or name.startswith("."):
            raise PargoError(f"image name {name!r:.60}, expected the plain name of a file")
        extension = image_extension(data, f"image {name}")
        names[name] = name if is_image_name(name, BENCHMARK) else name + extension
    if len(set(names.values())) < len(names):
        raise PargoError("two images have the same name but for its ending")
    renamed = [question.model_copy(update={"image": names[question.image]}) for question in questions]
    return renamed, ((names[name], data) for name, data in images.items())
