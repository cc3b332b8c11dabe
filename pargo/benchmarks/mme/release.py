"""MME as its authors release it, and as ParGo's authors do: folders or zips of images and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pargo.benchmarks.archive import Files, open_files
from pargo.benchmarks.mme.lines import pair_up, read_rows
from pargo.benchmarks.mme.pairs import EXTENSIONS, Pair, check_pair, match_texts, parse_text
from pargo.benchmarks.mme.tasks import TASKS
from pargo.errors import PargoError

# the two folders of the tasks that are not flat
IMAGES, TEXTS = "images", "questions_answers_YN"
TOY = "toy_dataset"  # a left-over in artwork/images of an older zip
PARGO = "Data_json"


def read_release(path: Path) -> Iterator[Pair]:
    """The pairs of a release, in official order of tasks, images by name (official) or in the file's order (ParGo's).

    Raises:
        PargoError: not a release, or a broken one; names file and line.
    """
    with open_files(path) as files:
        roots = {root for root, part, _ in _below(files, (PARGO,))}
        yield from _read_pargo(files, _one(roots, path), path) if roots else _read_official(files, path)


def _below(files: Files, folders: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """(what is above, folder, what is below) of each file in one of these folders."""
    for name in files:
        parts = name.split("/")
        for index, part in enumerate(parts[:-1]):
            if part in folders:
                yield "".join(f"{above}/" for above in parts[:index]), part, "/".join(parts[index + 1 :])
                break


def _one(roots: set[str], path: Path) -> str:
    if len(roots) != 1:
        found = ", ".join(sorted(root or "." for root in roots)) or "none"
        raise PargoError(f"{path}: expected one folder that holds MME's tasks ({', '.join(TASKS)}), found {found}")
    return roots.pop()


def _read_official(files: Files, path: Path) -> Iterator[Pair]:
    found = list(_below(files, TASKS))
    root = _one({above for above, _, _ in found}, path)
    tasks: dict[str, dict[str, str]] = defaultdict(dict)  # task -> name without folder -> path
    for _, task, below in found:
        folder, name = str(PurePosixPath(below).parent), PurePosixPath(below).name
        where = f"{root}{task}/{below}"
        if TOY in PurePosixPath(folder).parts:
            continue
        kinds = {".": (*EXTENSIONS, ".txt"), IMAGES: EXTENSIONS, TEXTS: (".txt",)}
        if PurePosixPath(name).suffix.lower() not in kinds.get(folder, ()):
            raise PargoError(
                f"{path}/{where}: not a file of MME, which has images and .txt files beside each other or "
                f"in {IMAGES}/ and {TEXTS}/"
            )
        if name in tasks[task]:
            raise PargoError(f"{path}/{where}: {path}/{tasks[task][name]} has the same name")
        tasks[task][name] = where
    for name in files:
        below = name.removeprefix(root)
        if name.startswith(root) and below.split("/")[0] not in TASKS and below.lower().endswith(EXTENSIONS):
            raise PargoError(f"{path}/{name}: an image outside of MME's tasks, {', '.join(TASKS)}")
    for task in (task for task in TASKS if task in tasks):
        for image, text in match_texts(tasks[task], f"{path}/{root}{task}"):
            where = f"{path}/{tasks[task][text]}"
            questions = parse_text(files[tasks[task][text]](), where)
            yield Pair(task, image, files[tasks[task][image]](), questions, f"{path}/{tasks[task][image]}")


def _read_pargo(files: Files, root: str, path: Path) -> Iterator[Pair]:
    tables, images = f"{root}{PARGO}/", f"{root}{IMAGES}/"
    texts = {name.removeprefix(tables).removesuffix(".txt"): name for name in files if name.startswith(tables)}
    if unknown := sorted(texts.keys() - set(TASKS)):
        raise PargoError(f"{path}/{texts[unknown[0]]}: not a task of MME; choices: {', '.join(TASKS)}")
    for name in files:
        task = name.removeprefix(images).split("/")[0]
        if name.startswith(images) and task not in texts:
            raise PargoError(f"{path}/{name}: there is no {tables}{task}.txt with its questions")
    for task in (task for task in TASKS if task in texts):
        where = f"{path}/{texts[task]}"
        rows = read_rows(files[texts[task]](), where, ("image", "question", "answer"))
        for turn, pair in enumerate(pair_up(rows, where)):
            image = pair[0][0]
            lines = [(f"{where}:{2 * turn + number}", row[1], row[2]) for number, row in enumerate(pair, start=1)]
            questions = check_pair(lines)
            if f"{images}{task}/{image}" not in files:
                raise PargoError(f"{lines[0][0]}: there is no {images}{task}/{image}")
            yield Pair(task, image, files[f"{images}{task}/{image}"](), questions, lines[0][0])
