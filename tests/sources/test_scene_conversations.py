"""Every answer of a conversation is true of its scene, judged by an independent reading of the question."""

import re
from collections import Counter
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pargo.sources.scene_conversations import NUMBERS, build_conversation
from pargo.sources.scenes import CELLS, COLORS, SHAPES, draw_scene

ANY_SHAPE, ANY_COLOR, ANY_CELL = "|".join(SHAPES), "|".join(COLORS), "|".join(CELLS)


def truth(scene, question: str) -> str:
    """The answer to a question, read off the scene; fails on a question that is not understood or not answerable."""
    objects = [(item.color, item.shape, CELLS[item.cell]) for item in scene.objects]
    word = (scene.word.text, CELLS[scene.word.cell]) if scene.word else (None, None)

    def yes(value):
        return "yes" if value else "no"

    if match := re.fullmatch(rf"Is there a ({ANY_SHAPE})\?", question):
        return yes(any(shape == match[1] for _, shape, _ in objects))
    if match := re.fullmatch(rf"Is there a ({ANY_COLOR}) ({ANY_SHAPE})\?", question):
        return yes(any((color, shape) == match.groups() for color, shape, _ in objects))
    if match := re.fullmatch(rf"Is there a ({ANY_SHAPE}) at the ({ANY_CELL})\?", question):
        return yes(any((shape, cell) == match.groups() for _, shape, cell in objects))
    if match := re.fullmatch(r"Are there (\w+) shapes\?", question):
        return yes(NUMBERS.index(match[1]) == len(objects))
    if match := re.fullmatch(r"Does it say (\w+)\?", question):
        return yes(match[1] == word[0])
    if question == "How many shapes?":
        return NUMBERS[len(objects)]
    if match := re.fullmatch(rf"What color is the ({ANY_SHAPE})\?", question):
        (color,) = [color for color, shape, _ in objects if shape == match[1]]
        return color
    if match := re.fullmatch(rf"What is at the ({ANY_CELL})\?", question):
        found = [f"{color} {shape}" for color, shape, cell in objects if cell == match[1]]
        found += [f"word {word[0]}"] if word[1] == match[1] else []
        (content,) = found or ["nothing"]
        return content
    assert question == "What does it say?", question
    assert word[0]
    return word[0]


@settings(max_examples=300)
@given(st.integers(0, 100), st.integers(0, 10**6), st.integers())
@example(seed=0, index=414633, choice=0)
def test_every_answer_is_true(seed, index, choice):
    scene = draw_scene(seed, index)
    conversation = build_conversation(scene, Random(choice))
    # four triangles of all four colours: neither their places nor their colours make a false statement
    assert 6 <= len(conversation) <= 20
    for question, answer in conversation:
        assert answer == truth(scene, question), question
    assert len({question for question, _ in conversation}) == len(conversation)


def test_yes_and_no_are_balanced_and_turns_are_shuffled():
    answers, first = Counter(), Counter()
    for index in range(500):
        conversation = build_conversation(draw_scene(0, index), Random(index))
        answers.update(answer for _, answer in conversation if answer in ("yes", "no"))
        first[conversation[0][0].split()[0]] += 1
    assert 0.45 < answers["yes"] / answers.total() < 0.55
    assert set(first) == {"Is", "Are", "Does", "How", "What"}


def test_the_same_random_state_gives_the_same_conversation():
    scene = draw_scene(0, 0)
    assert build_conversation(scene, Random("a")) == build_conversation(scene, Random("a"))
