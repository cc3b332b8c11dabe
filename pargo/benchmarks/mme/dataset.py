"""MME's official folder layout (flat tasks): written from every form that MME comes in, and read strictly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pargo.benchmarks.formats.official import open_files
from pargo.benchmarks.mme.hub import read_hub
from pargo.benchmarks.mme.pairs import LABELS, Pair, match_texts, parse_text
from pargo.benchmarks.mme.release import read_release
from pargo.benchmarks.mme.tasks import NUM_IMAGES, TASKS
from pargo.benchmarks.questions import check_image
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.mme import MME
from pargo.errors import PargoError


def import_files(paths: Sequence[Path], directory: Path) -> None:
    """Write `<directory>/<task>/<image>` and `<image>.txt` from official files; image bytes stay as they are.

    Args:
        paths: a folder or a zip: the official release, or that of ParGo (`Data_json` and `images`); or the hub's
            parquet files, or a folder or zip of them.
        directory: of one split.

    Raises:
        PargoError: other files, broken ones, an image without its two questions (Yes, then No), or a question
            without its image; names the file, and the line where there is one.
    """
    with open_files(paths) as files:
        tables = sorted(files.with_suffix(".parquet"), key=lambda entry: entry.where)
        if len(paths) != 1 and not tables:
            raise PargoError(f"MME comes as one folder or zip, or as parquet files; got {files.where}")
        write_pairs(directory, read_hub(tables) if tables else read_release(files))


def write_pairs(directory: Path, pairs: Iterable[Pair]) -> None:
    """Write the official flat layout below `directory`.

    Raises:
        PargoError: no pairs, an unknown task, an image name that is no plain file name or comes twice, a damaged
            image, or a question that breaks the line.
    """
    written: dict[tuple[str, str], str] = {}
    for pair in pairs:
        if pair.task not in TASKS:
            raise PargoError(f"{pair.where}: {pair.task!r} is not a task of MME; choices: {', '.join(TASKS)}")
        match_texts([pair.image, f"{Path(pair.image).stem}.txt"], pair.where)
        key = (pair.task, Path(pair.image).stem)
        if key in written:
            raise PargoError(f"{pair.where}: image {pair.image!r} of task {pair.task} again, after {written[key]}")
        written[key] = pair.where
        for question in pair.questions:
            if any(character in question for character in "\t\n\r"):
                raise PargoError(f"{pair.where}: question {question!r} holds a tab or line break")
        check_image(pair.data, pair.where)
        folder = directory / pair.task
        folder.mkdir(parents=True, exist_ok=True)
        (folder / pair.image).write_bytes(pair.data)
        text = "".join(f"{question}\t{label}\n" for question, label in zip(pair.questions, LABELS, strict=True))
        (folder / f"{Path(pair.image).stem}.txt").write_text(text, encoding="utf-8", newline="\n")
    if not written:
        raise PargoError("no images of MME among the files")


def read_questions(source: Path, benchmark: MME) -> list[Question]:
    """All questions of `<source>/<split>/<task>/<image>.{png,jpg} + .txt`: official task order, images by name.

    Raises:
        PargoError: unknown or no tasks; not all tasks with all images, unless `benchmark.partial`; an image without its
            text or a text without its image; a text that is not two lines `question TAB Yes` and `question TAB No`.
            Names the file and the line.
    """
    root = source / benchmark.split
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        raise PargoError(f"{root} holds no task folders; MME's are {', '.join(TASKS)}")
    for folder in folders:
        if folder.name not in TASKS:
            raise PargoError(f"{folder}: not a task of MME; choices: {', '.join(TASKS)}")
    folders.sort(key=lambda folder: TASKS.index(folder.name))
    questions = [question for folder in folders for question in _read_task(folder)]
    if not benchmark.partial:
        found = Counter(question.task for question in questions)
        for task, number in NUM_IMAGES.items():
            if found[task] != 2 * number:
                raise PargoError(
                    f"{root}: {found[task]} questions of {task}, MME has {2 * number}; `partial: true` accepts a part"
                )
    return questions


def _read_task(folder: Path) -> list[Question]:
    paths = sorted(folder.iterdir())
    if others := [path for path in paths if not path.is_file()]:
        raise PargoError(f"{others[0]}: neither an image nor a .txt of questions")
    task, questions = folder.name, []
    for image, text in match_texts([path.name for path in paths], str(folder)):
        pair = parse_text((folder / text).read_bytes(), str(folder / text))
        for number, (question, label) in enumerate(zip(pair, LABELS, strict=True), start=1):
            identifier, name = f"{task}/{Path(image).stem}-{number}", f"{task}/{image}"
            questions.append(Question(id=identifier, task=task, image=name, question=question, label=label))
    return questions
