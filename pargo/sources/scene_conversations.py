"""Questions about a scene and their true answers; the mini-MME benchmark asks in the very same words.

Yes/no questions come in pairs of one true and one false statement, so that no constant answer is ever right more
than half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pargo.sources.scenes import CELLS, COLORS, SHAPES, WORDS, Scene

NUMBERS = ("zero", "one", "two", "three", "four")

Turn = tuple[str, str]
Pair = tuple[str | None, str | None]  # a question whose answer is yes, one whose answer is no; None: there is none


def existence_pair(scene: Scene, random: Random) -> Pair:
    """Is a shape there at all?"""
    present = {item.shape for item in scene.objects}
    yes, no = [shape for shape in SHAPES if shape in present], [shape for shape in SHAPES if shape not in present]
    return _ask(yes, no, random, "Is there a {}?")


def count_pair(scene: Scene, random: Random) -> Pair:
    """Is this the number of shapes?"""
    count = len(scene.objects)
    return _ask([NUMBERS[count]], [n for n in NUMBERS[1:] if n != NUMBERS[count]], random, "Are there {} shapes?")


def position_pair(scene: Scene, random: Random) -> Pair:
    """Is a shape that is there at this place?"""
    item = random.choice(scene.objects)
    taken = {other.cell for other in scene.objects if other.shape == item.shape}
    elsewhere = [name for cell, name in enumerate(CELLS) if cell not in taken]
    return _ask([CELLS[item.cell]], elsewhere, random, f"Is there a {item.shape} at the {{}}?")


def color_pair(scene: Scene, random: Random) -> Pair:
    """Does a shape that is there have this colour?"""
    item = random.choice(scene.objects)
    taken = {other.color for other in scene.objects if other.shape == item.shape}
    others = [color for color in COLORS if color not in taken]
    return _ask([item.color], others, random, f"Is there a {{}} {item.shape}?")


def ocr_pair(scene: Scene, random: Random) -> Pair:
    """Is this the word in the image?"""
    if not scene.word:
        return None, None
    return _ask([scene.word.text], [word for word in WORDS if word != scene.word.text], random, "Does it say {}?")


def _ask(yes: list[str], no: list[str], random: Random, template: str) -> Pair:
    first, second = (template.format(random.choice(options)) if options else None for options in (yes, no))
    return first, second


# MME's task names; the benchmark holds one pair of its task per image, a conversation one pair of each.
PAIRS: dict[str, Callable[[Scene, Random], Pair]] = {
    "existence": existence_pair,
    "count": count_pair,
    "position": position_pair,
    "color": color_pair,
    "OCR": ocr_pair,
}


# Pairs of a conversation, where more than one: what belongs to what is learnt later than what is there.
NUM_PAIRS = {"position": 3, "color": 2}


def build_conversation(scene: Scene, random: Random) -> list[Turn]:
    """Up to twenty turns in random order: pairs of each task and the open questions that the scene can answer."""
    turns: list[Turn] = []
    for task, ask in PAIRS.items():
        for _ in range(NUM_PAIRS.get(task, 1)):
            yes, no = ask(scene, random)
            # a lone question would make one answer right more often than the other
            if yes and no and (yes, "yes") not in turns and (no, "no") not in turns:
                turns += [(yes, "yes"), (no, "no")]
    turns.append(("How many shapes?", NUMBERS[len(scene.objects)]))
    cell = random.randrange(len(CELLS))
    turns.append((f"What is at the {CELLS[cell]}?", _content(scene, cell)))
    shapes = [item.shape for item in scene.objects]
    unique = [item for item in scene.objects if shapes.count(item.shape) == 1]
    if unique:
        item = random.choice(unique)
        turns.append((f"What color is the {item.shape}?", item.color))
    if scene.word:
        turns.append(("What does it say?", scene.word.text))
    random.shuffle(turns)
    return turns


def _content(scene: Scene, cell: int) -> str:
    for item in scene.objects:
        if item.cell == cell:
            return f"{item.color} {item.shape}"
    return f"word {scene.word.text}" if scene.word and scene.word.cell == cell else "nothing"
