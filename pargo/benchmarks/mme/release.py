"""MME as its authors release it, and as ParGo's authors do: folders or zips of images and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from pargo.benchmarks.formats.official import Entry, Files
from pargo.benchmarks.mme.lines import pair_up, read_rows
from pargo.benchmarks.mme.pairs import Pair, check_pair, match_texts, parse_text
from pargo.benchmarks.mme.tasks import TASKS
from pargo.data.image_names import BENCHMARK
from pargo.errors import PargoError

# the two folders of the tasks that are not flat
IMAGES, TEXTS = "images", "questions_answers_YN"
TOY = "toy_dataset"  # a left-over in artwork/images of an older zip
PARGO = "Data_json"


def read_release(files: Files) -> Iterator[Pair]:
    """The pairs of a release, in official order of tasks, images by name (official) or in the file's order (ParGo's).

    Raises:
        PargoError: not a release, or a broken one; names file and line.
    """
    roots = {root for root, part, _ in _below(files, (PARGO,))}
    return _read_pargo(files, _one(roots, files)) if roots else _read_official(files)


def _below(files: Files, folders: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(what is above, folder, what is below) of each file in one of these folders."""
    for name in files.by_path:
        parts = name.split("/")
        for index, part in enumerate(parts[:-1]):
            if part in folders:
                yield "".join(f"{above}/" for above in parts[:index]), part, "/".join(parts[index + 1 :])
                break


def _one(roots: set[str], files: Files) -> str:
    if len(roots) != 1:
        found = ", ".join(sorted(root or "." for root in roots)) or "none"
        tasks = ", ".join(TASKS)
        raise PargoError(f"{files.where}: expected one folder that holds MME's tasks ({tasks}), found {found}")
    return roots.pop()


def _read_official(files: Files) -> Iterator[Pair]:
    found = list(_below(files, TASKS))
    root = _one({above for above, _, _ in found}, files)
    tasks: dict[str, dict[str, Entry]] = defaultdict(dict)  # task -> name without folder -> file
    for _, task, below in found:
        folder, name = str(PurePosixPath(below).parent), PurePosixPath(below).name
        entry = files.by_path[f"{root}{task}/{below}"]
        if TOY in PurePosixPath(folder).parts:
            continue
        kinds = {".": (*BENCHMARK, ".txt"), IMAGES: BENCHMARK, TEXTS: (".txt",)}
        if PurePosixPath(name).suffix.lower() not in kinds.get(folder, ()):
            raise PargoError(
                f"{entry.where}: not a file of MME, which has images and .txt files beside each other or "
                f"in {IMAGES}/ and {TEXTS}/"
            )
        if name in tasks[task]:
            raise PargoError(f"{entry.where}: {tasks[task][name].where} has the same name")
        tasks[task][name] = entry
    for entry in files.with_suffix(*BENCHMARK):
        if entry.name.startswith(root) and entry.name.removeprefix(root).split("/")[0] not in TASKS:
            raise PargoError(f"{entry.where}: an image outside of MME's tasks, {', '.join(TASKS)}")
    for task in (task for task in TASKS if task in tasks):
        for image, text in match_texts(tasks[task], f"{files.where}/{root}{task}"):
            picture, words = tasks[task][image], tasks[task][text]
            yield Pair(task, image, picture.read(), parse_text(words.read(), words.where), picture.where)


def _read_pargo(files: Files, root: str) -> Iterator[Pair]:
    tables, images = f"{root}{PARGO}/", f"{root}{IMAGES}/"
    texts = {
        name.removeprefix(tables).removesuffix(".txt"): entry
        for name, entry in files.by_path.items()
        if name.startswith(tables)
    }
    if unknown := sorted(texts.keys() - set(TASKS)):
        raise PargoError(f"{texts[unknown[0]].where}: not a task of MME; choices: {', '.join(TASKS)}")
    for name, entry in files.by_path.items():
        task = name.removeprefix(images).split("/")[0]
        if name.startswith(images) and task not in texts:
            raise PargoError(f"{entry.where}: there is no {tables}{task}.txt with its questions")
    for task in (task for task in TASKS if task in texts):
        where = texts[task].where
        rows = read_rows(texts[task].read(), where, ("image", "question", "answer"))
        for turn, pair in enumerate(pair_up(rows, where)):
            image = pair[0][0]
            lines = [(f"{where}:{2 * turn + number}", row[1], row[2]) for number, row in enumerate(pair, start=1)]
            questions = check_pair(lines)
            found = files.by_path.get(f"{images}{task}/{image}")
            if found is None:
                raise PargoError(f"{lines[0][0]}: there is no {images}{task}/{image}")
            yield Pair(task, image, found.read(), questions, lines[0][0])
