"""mini-MME: a small benchmark of scenes in the official MME folder layout, so that the official rules apply to it.

`test/<task>/0001.png` and `test/<task>/0001.txt` with two lines, `question TAB Yes` and `question TAB No`, for MME's
tasks existence, count, position, color and OCR.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random

from pargo.data.template import MME_SUFFIX
from pargo.progress import track
from pargo.sources.scene_conversations import PAIRS
from pargo.sources.scenes import Scene, draw_scene, encode_png, render

TASK_OFFSET = 1_000_000  # scenes of task t are drawn from index t * TASK_OFFSET on


def choose(seed: int, task: str, number: int) -> list[tuple[Scene, str, str]]:
    """The first `number` scenes of a task that allow a true and a false question, all different, with the questions.

    The first n are the same for any `number` >= n.
    """
    chosen: dict[Scene, tuple[str, str]] = {}
    for index in count(list(PAIRS).index(task) * TASK_OFFSET):
        if len(chosen) == number:
            break
        scene = draw_scene(seed, index)
        yes, no = PAIRS[task](scene, Random(f"mini-mme-{seed}-{index}"))
        if yes and no and scene not in chosen:
            chosen[scene] = (yes, no)
    return [(scene, yes, no) for scene, (yes, no) in chosen.items()]


def write_mini_mme(directory: Path, *, seed: int, images_per_task: int, image_size: int) -> None:
    """Write the benchmark below `directory`/test."""
    for task in track(list(PAIRS), "Rendering mini-MME"):
        folder = directory / "test" / task
        folder.mkdir(parents=True)
        for number, (scene, yes, no) in enumerate(choose(seed, task, images_per_task), start=1):
            (folder / f"{number:04d}.png").write_bytes(encode_png(render(scene, image_size)))
            text = f"{yes}{MME_SUFFIX}\tYes\n{no}{MME_SUFFIX}\tNo\n"
            (folder / f"{number:04d}.txt").write_text(text, encoding="utf-8")
