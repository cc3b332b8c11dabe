"""MME's official folder layout (flat tasks), read strictly."""

from __future__ import annotations

from pathlib import Path

from pargo.benchmarks.records import Question
from pargo.config.data import MME
from pargo.errors import PargoError

EXTENSIONS = (".png", ".jpg", ".jpeg")
LABELS = ("Yes", "No")  # always in this order in the official data
# in the order of the official calculation.py: perception, then cognition
TASKS = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
)


def read_questions(source: Path, benchmark: MME) -> list[Question]:
    """All questions of `<source>/<split>/<task>/<image>.{png,jpg} + .txt`: official task order, images by name.

    Raises:
        PargoError: unknown or no tasks; an image without its text or a text without its image; a text that is not
            two lines `question TAB Yes` and `question TAB No`. Names the file and the line.
    """
    root = source / benchmark.split
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        raise PargoError(f"{root} holds no task folders; MME's are {', '.join(TASKS)}")
    for folder in folders:
        if folder.name not in TASKS:
            raise PargoError(f"{folder}: not a task of MME; choices: {', '.join(TASKS)}")
    folders.sort(key=lambda folder: TASKS.index(folder.name))
    return [question for folder in folders for question in _read_task(folder)]


def _read_task(folder: Path) -> list[Question]:
    images: dict[str, Path] = {}
    texts: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        known = images if path.suffix.lower() in EXTENSIONS else texts if path.suffix == ".txt" else None
        if known is None or not path.is_file():
            raise PargoError(f"{path}: neither an image ({', '.join(EXTENSIONS)}) nor a .txt of questions")
        if path.stem in known:
            raise PargoError(f"{path}: {known[path.stem].name} has the same name, so its questions are ambiguous")
        known[path.stem] = path
    if not texts:
        raise PargoError(f"{folder} holds no questions")
    for stem in sorted(images.keys() | texts.keys()):
        if stem not in images:
            raise PargoError(f"{texts[stem]}: no image of this name beside it")
        if stem not in texts:
            raise PargoError(f"{images[stem]}: no {stem}.txt with its questions beside it")
    return [question for stem, text in texts.items() for question in _read_pair(text, images[stem])]


def _read_pair(text: Path, image: Path) -> list[Question]:
    try:
        lines = text.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise PargoError(f"{text}: not UTF-8: {error.reason} at byte {error.start}") from None
    if len(lines) != len(LABELS):
        raise PargoError(f"{text}: {len(lines)} line(s), expected 2: `question TAB Yes` and `question TAB No`")
    task, questions = text.parent.name, []
    for number, (line, expected) in enumerate(zip(lines, LABELS, strict=True), start=1):
        parts = line.split("\t")
        if len(parts) != 2:
            raise PargoError(f"{text}:{number}: {len(parts) - 1} tab(s), expected one, between question and answer")
        question, label = (part.strip() for part in parts)
        if not question:
            raise PargoError(f"{text}:{number}: empty question")
        if label != expected:
            raise PargoError(f"{text}:{number}: answer {label!r}, expected {expected!r}: line 1 is Yes, line 2 No")
        identifier, name = f"{task}/{text.stem}-{number}", f"{task}/{image.name}"
        questions.append(Question(id=identifier, task=task, image=name, question=question, label=label))
    return questions
