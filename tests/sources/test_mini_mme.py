"""mini-MME: MME's layout, a true Yes and a true No per image, and no image that training has seen."""

import re
from random import Random

import pytest

from pargo.config.experiment import load_config
from pargo.data.images import open_images
from pargo.data.template import MME_SUFFIX
from pargo.sources.mini_mme import choose, write_mini_mme
from pargo.sources.scene_conversations import PAIRS, build_conversation
from pargo.sources.scenes import draw_scene, render
from tests.sources.test_scene_conversations import truth

TASKS = ("existence", "count", "position", "color", "OCR")


@pytest.fixture(scope="module")
def quick():
    return load_config("config/quick.yaml").sources


def test_tasks_are_those_of_mme():
    assert tuple(PAIRS) == TASKS


@pytest.mark.parametrize("task", TASKS)
def test_yes_is_true_and_no_is_false(task, quick):
    for scene, yes, no in choose(1, task, quick["mini_mme"].images_per_task):
        assert (truth(scene, yes), truth(scene, no)) == ("yes", "no")


def test_no_scene_is_used_twice_or_seen_in_training(quick):
    benchmark = quick["mini_mme"]
    scenes = [scene for task in TASKS for scene, _, _ in choose(benchmark.seed, task, benchmark.images_per_task)]
    training = {draw_scene(quick["scenes"].seed, index) for index in range(quick["scenes"].num_images)}
    assert len(set(scenes)) == len(scenes) == 5 * benchmark.images_per_task
    assert not training & set(scenes)


def test_first_images_do_not_depend_on_their_number():
    assert choose(1, "OCR", 30)[:7] == choose(1, "OCR", 7)


def test_wording_is_that_of_training():
    """Every benchmark question, its words for shapes and so on blanked, is one of the conversations' questions."""

    def blank(question):
        return re.sub(r"(?<=Is there a ).*|(?<=Are there )\w+|(?<=Does it say )\w+", "_", question)

    scenes = [draw_scene(0, index) for index in range(200)]
    known = {blank(question) for scene in scenes for question, _ in build_conversation(scene, Random(0))}
    asked = {blank(question) for task in TASKS for _, *pair in choose(1, task, 20) for question in pair}
    assert asked <= known


def test_layout(tmp_path):
    write_mini_mme(tmp_path, seed=1, images_per_task=3, image_size=96)
    images = open_images(tmp_path, "test")
    assert images.ids == sorted(f"{task}/{number:04d}.png" for task in TASKS for number in (1, 2, 3))
    for task in TASKS:
        for number, (scene, yes, no) in enumerate(choose(1, task, 3), start=1):
            text = (tmp_path / "test" / task / f"{number:04d}.txt").read_text(encoding="utf-8")
            assert text == f"{yes}{MME_SUFFIX}\tYes\n{no}{MME_SUFFIX}\tNo\n"
            assert images.load(f"{task}/{number:04d}.png").tobytes() == render(scene, 96).tobytes()
