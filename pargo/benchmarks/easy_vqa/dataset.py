"""The questions of easy-VQA, or of any other source of shards whose records hold conversations."""

from __future__ import annotations

from pathlib import Path

from pargo.benchmarks.easy_vqa.answers import answer_type, normalise
from pargo.benchmarks.records import Question
from pargo.config.benchmarks.easy_vqa import EasyVQA
from pargo.data.shards import Shards
from pargo.errors import PargoError


def read_questions(source: Path, benchmark: EasyVQA) -> list[Question]:
    """The questions of a split in the order of image ids; a question's task is the type of its answer.

    With `max_questions`, the longest run of whole images, from the first after `skip_images` on, that stays within it.

    Raises:
        PargoError: no such split, no image after `skip_images`, a question without answer, or no whole image within
            `max_questions`.
    """
    shards = Shards(source / benchmark.split)
    if benchmark.skip_images >= len(shards.ids):
        raise PargoError(
            f"{source / benchmark.split}: skip_images {benchmark.skip_images} leaves none of its {len(shards.ids)} "
            "images"
        )
    questions: list[Question] = []
    for image in sorted(shards.ids)[benchmark.skip_images :]:
        turns = shards.record(image)["conversation"]
        if benchmark.max_questions is not None and len(questions) + len(turns) > benchmark.max_questions:
            break
        questions += [_question(image, number, *turn) for number, turn in enumerate(turns)]
    if not questions:
        raise PargoError(
            f"{source / benchmark.split}: no questions within max_questions {benchmark.max_questions}: images are "
            "taken with all their questions, about ten each"
        )
    return questions


def _question(image: str, number: int, question: str, label: str) -> Question:
    identifier = f"{image}-{number:02d}"
    if not normalise(label):
        raise PargoError(f"question {identifier} ({question!r}) has no answer: {label!r}")
    return Question(id=identifier, task=answer_type(label), image=image, question=question, label=label)
