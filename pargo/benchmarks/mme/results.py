"""MME's official result files: `<task>.txt`, a line a question: image TAB question TAB ground truth TAB response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from pathlib import Path

from pargo.benchmarks.formats.rows import is_hidden, read_bytes
from pargo.benchmarks.mme.lines import pair_up, read_rows
from pargo.benchmarks.mme.tasks import NUM_IMAGES, TASKS
from pargo.benchmarks.records import Answered, Prediction
from pargo.errors import PargoError

OFFICIAL = "official"
COLUMNS = ("image", "question", "ground truth", "response")
ALIKE = 0.8  # of names: so much and more is taken for a slip of the pen
_FIELD_BREAKS = str.maketrans("\t\n\r", "   ")  # one character for one: the parsers count characters


def write(predictions: Iterable[Prediction], directory: Path) -> None:
    """Write `official/<task>.txt` as the official calculation.py reads it.

    A tab or line break in a response becomes a space.
    """
    folder = directory / OFFICIAL
    folder.mkdir()
    ordered = sorted(predictions, key=lambda prediction: TASKS.index(prediction.task))  # stable
    for task, group in groupby(ordered, key=lambda prediction: prediction.task):
        text = "".join(
            f"{Path(item.image).name}\t{item.question}\t{item.label}\t{item.answer.translate(_FIELD_BREAKS)}\n"
            for item in group
        )
        (folder / f"{task}.txt").write_text(text, encoding="utf-8", newline="\n")


def read(inputs: Sequence[Path], *, parser: str, partial: bool, notes: list[str] | None = None) -> list[Answered]:
    """The answers of one folder of result files, in official order of tasks; responses as they are, with their space.

    Other files than `<task>.txt` are left alone, as in the official tool; a note names the `.txt` among them.

    Args:
        inputs: the folder.
        parser: not needed here.
        partial: accept fewer tasks than 14, and tasks with other numbers of images than MME's.
        notes: gets sentences on what was taken.

    Raises:
        PargoError: no folder; tasks missing; a file with almost the name of a missing one; a file that is not UTF-8,
            empty, without four columns, whose ground truth is neither yes nor no, or whose lines do not pair up by
            image (`pair_up`).
    """
    if len(inputs) != 1 or not inputs[0].is_dir():
        given = ", ".join(map(str, inputs)) or "nothing"
        raise PargoError(f"mme takes one folder of result files <task>.txt, got {given}")
    folder = inputs[0]
    files = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    found = {path.stem: path for path in files if path.suffix == ".txt"}
    others = [found[name].name for name in sorted(found.keys() - set(TASKS))]
    missing = [task for task in TASKS if task not in found]
    if len(missing) == len(TASKS) or (missing and not partial):
        raise PargoError(
            f"{folder} lacks {len(missing)} of MME's {len(TASKS)} result files: "
            f"{', '.join(f'{task}.txt' for task in missing)}"
            + ("" if len(missing) == len(TASKS) else "; --partial scores the others")
            + (f"; {', '.join(others)} are no tasks of MME" if others else "")
        )
    names = {f"{task}.txt" for task in TASKS}
    for task in missing:
        if near := [path for path in files if path.name not in names and _is_alike(path.stem, task)]:
            raise PargoError(f"{near[0]}: is it task {task}? {folder} lacks its file, {task}.txt")
    if others and notes is not None:
        notes.append(f"{folder}: left alone, as no task of MME has the name: {', '.join(others)}")
    return [answer for task in TASKS if task in found for answer in _read_task(found[task], task, complete=not partial)]


def _is_alike(name: str, task: str) -> bool:
    """Whether a file's name holds that of a task, capitals aside, or is that but for a letter or two."""
    name, task = name.lower(), task.lower()
    return task in name or SequenceMatcher(None, name, task).ratio() >= ALIKE


def _read_task(path: Path, task: str, *, complete: bool) -> list[Answered]:
    rows = read_rows(read_bytes(path), str(path), COLUMNS)
    for number, (_, _, label, _) in enumerate(rows, start=1):
        if label.lower() not in ("yes", "no"):
            raise PargoError(f"{path}:{number}: ground truth {label!r}, expected Yes or No")
    pairs = pair_up(rows, str(path))
    if complete:
        _check_number(task, len(pairs), str(path))
    return [
        Answered(
            id=f"{task}/{image}-{turn}",
            task=task,
            image=f"{task}/{image}",
            question=question,
            label=label,
            answer=response,
        )
        for pair in pairs
        for turn, (image, question, label, response) in enumerate(pair, start=1)
    ]


def check_complete(answers: Iterable[Answered], where: str) -> None:
    """Raise PargoError unless all images of all tasks were asked about."""
    images: dict[str, set[str]] = {task: set() for task in TASKS}
    for answer in answers:
        images.setdefault(answer.task, set()).add(answer.image)
    for task in TASKS:
        _check_number(task, len(images[task]), where)


def _check_number(task: str, images: int, where: str) -> None:
    if images != NUM_IMAGES[task]:
        raise PargoError(
            f"{where}: {images} images, but MME's task {task} has {NUM_IMAGES[task]}; --partial scores those there"
        )
