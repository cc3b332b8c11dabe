"""MM-Vet's questions and images from the official files or the hub's parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pargo.benchmarks.archive import Files, open_files
from pargo.benchmarks.mmvet.files import decode, read_text
from pargo.benchmarks.mmvet.hub import read_parquet
from pargo.benchmarks.mmvet.meta import META, parse_meta
from pargo.benchmarks.questions import image_extension, read_source, write_source
from pargo.benchmarks.records import Question
from pargo.config.data import MMVet
from pargo.errors import PargoError

EXTENSIONS = (".png", ".jpg", ".jpeg")


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Fill `directory`, one split's folder, from MM-Vet's files.

    Args:
        paths: `mm-vet.json` and the folder or zip of images; or one folder or zip that holds both (`mm-vet.json`, and
            `images/` beside it); or the hub's parquet files, or a folder of them.
        directory: see `pargo.benchmarks.questions`.

    Raises:
        PargoError: other files, an entry that is no question, or a question without its image; names file and line.
    """
    for path in paths:
        if not path.exists():
            raise PargoError(f"{path} does not exist")
    if len(paths) == 1 and paths[0].is_dir() and (tables := sorted(paths[0].rglob("*.parquet"))):
        paths = tables
    if paths and all(path.suffix == ".parquet" for path in paths):
        questions, images = read_parquet(paths)
    else:
        questions, images = _read_official(paths)
    write_source(directory, *_with_extensions(questions, images))


def read_questions(source: Path, benchmark: MMVet) -> list[Question]:
    """The questions of a split, in official order; PargoError names file and line."""
    return read_source(source / benchmark.split)


def _read_official(paths: Sequence[Path]) -> tuple[list[Question], dict[str, bytes]]:
    folders = [path for path in paths if path.suffix != ".json"]
    if len(paths) > 2 or len(folders) != 1:
        raise PargoError(
            f"mmvet is imported from {META} and its folder of images, from a folder or zip of both, or from parquet; "
            f"got {', '.join(map(str, paths)) or 'nothing'}"
        )
    with open_files(folders[0]) as files:
        return _read_files(paths, files)


def _read_files(paths: Sequence[Path], files: Files) -> tuple[list[Question], dict[str, bytes]]:
    if len(paths) == 1:
        found = sorted((path for path in files if PurePosixPath(path).name == META), key=lambda path: path.count("/"))
        if not found:
            raise PargoError(f"{paths[0]} holds no {META}")
        name, text = f"{paths[0]}/{found[0]}", decode(files[found[0]](), f"{paths[0]}/{found[0]}")
        base = found[0].removesuffix(META)
    else:
        meta = next(path for path in paths if path.suffix == ".json")
        name, text, base = str(meta), read_text(meta), ""
    questions = list(parse_meta(text, name).values())
    found_images = {}
    for question in questions:
        places = [path for path in (f"{base}images/{question.image}", f"{base}{question.image}") if path in files]
        if not places:
            raise PargoError(f"{name}: question {question.id}: no image {question.image!r} in {paths[-1]}")
        found_images[question.image] = files[places[0]]()
    return questions, found_images


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
        names[name] = name if PurePosixPath(name).suffix.lower() in EXTENSIONS else name + extension
    if len(set(names.values())) < len(names):
        raise PargoError("two images have the same name but for its ending")
    renamed = [question.model_copy(update={"image": names[question.image]}) for question in questions]
    return renamed, ((names[name], data) for name, data in images.items())
