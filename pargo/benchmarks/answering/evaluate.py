"""Stage `evaluate`: a model answers the questions of a benchmark; its answers are kept, and scored by another stage.

Several jobs can share the questions: each answers one shard of the batches (`answer`), and `run` collects them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from pargo.benchmarks import answer_modules
from pargo.benchmarks.answering.prompts import find_preset, load_prompt
from pargo.benchmarks.answering.saved import Answer, SavedAnswers
from pargo.benchmarks.parts import (
    is_decided,
    load_answers,
    load_dataset,
    load_label_losses,
    load_ranking,
    load_results,
)
from pargo.benchmarks.records import PREDICTIONS, Prediction, Question, write_predictions
from pargo.code import code_hash, import_closure
from pargo.config.base import Settings, canonical_json
from pargo.config.benchmarks import Benchmark
from pargo.config.generation import Generation
from pargo.config.models import Adapter, Language, Vision
from pargo.config.projectors import Projector, projector_modules
from pargo.data.images import open_images
from pargo.errors import PargoError
from pargo.files import sha256_file, sha256_text
from pargo.imports import for_good
from pargo.layout import manifest_path
from pargo.machine import computing_versions
from pargo.manifest import publish

ANSWERS = "answers.jsonl"


class EvaluateSettings(Settings):
    """What the stage reads of the config. `lora` is that of the stage whose model answers."""

    vision: Vision
    language: Language
    projector: Projector
    lora: Adapter | None
    benchmark: Benchmark
    generation: Generation


def run(
    settings: EvaluateSettings,
    language: Path,
    model: Path,
    source: Path,
    features: Path,
    run_directory: Path,
    output: Path,
    answers: Sequence[Path] = (),
) -> None:
    """Write `predictions.jsonl` in the benchmark's own order, and its official result files where it has a format.

    Args:
        settings: see the class.
        language: directory of the language model.
        model: directory of the trained model.
        source: directory of the benchmark's images and questions.
        features: directory of their features.
        run_directory: keeps the answers of a job that was ended, for the next one.
        output: artifact directory to publish.
        answers: files of all shards; no model is needed then.

    Raises:
        PargoError: a broken benchmark, features of other images, weights that do not fit, or a shard is missing.
    """
    benchmark, kind = settings.benchmark, settings.benchmark.kind
    questions = load_dataset(kind).read_questions(source, benchmark)
    inputs = [language, model, source, features]
    if answers:
        found: dict[str, Answer] = {}
        for path in answers:
            found |= _read_shard(settings, inputs, path)
    else:
        found = _answer(settings, inputs, questions, run_directory / ANSWERS)
    if missing := [question.id for question in questions if question.id not in found]:
        raise PargoError(f"{len(missing)} questions have no answer, e.g. {missing[0]!r}: are all shards given?")
    predictions = _predictions(settings, source, questions, found)
    with publish(output, settings=settings, inputs=inputs, code=_code(settings)) as directory:
        write_predictions(directory / PREDICTIONS, predictions)
        load_results(kind).write(predictions, directory)


def answer(
    settings: EvaluateSettings,
    language: Path,
    model: Path,
    source: Path,
    features: Path,
    run_directory: Path,
    shard: int,
) -> None:
    """Answer one shard of `generation.num_shards`; the answers stay in the run directory's `answers.jsonl`.

    Arguments and errors as of `run`.
    """
    questions = load_dataset(settings.benchmark.kind).read_questions(source, settings.benchmark)
    inputs, number = [language, model, source, features], settings.generation.num_shards
    _answer(settings, inputs, questions, run_directory / ANSWERS, shard=shard, num_shards=number)


def _code(settings: EvaluateSettings) -> list[Path]:
    """Source files of this evaluation: those of its own benchmark and projector alone."""
    return import_closure(*answer_modules(settings.benchmark.kind), *projector_modules(settings.projector.name))


def _spec(settings: EvaluateSettings, inputs: Sequence[Path]) -> str:
    """Hash of all that the answers depend on: not which parser reads them, nor how many jobs share the questions."""
    # loaded by name: one more setting in the table is no other code of an evaluation
    _, asked = import_module("pargo.no_effect").how_and_what("evaluate", json.loads(canonical_json(settings)))
    del asked["benchmark"]["parser"]
    return sha256_text(
        canonical_json(
            {
                "settings": asked,
                "ranks": settings.benchmark.ranks,
                "inputs": [sha256_file(manifest_path(path)) for path in inputs],
                "code": code_hash(_code(settings)),
                "versions": computing_versions(),
            }
        )
    )


def _read_shard(settings: EvaluateSettings, inputs: Sequence[Path], path: Path) -> dict[str, Answer]:
    saved = SavedAnswers.read(path)
    if saved.spec != _spec(settings, inputs):
        raise PargoError(f"{path} holds answers of another model, of other settings or by other code")
    return saved.answers


def _others(path: Path, *, alone: bool) -> list[Path]:
    """Files of answers of the same evaluation: those of all shards, and that of one job alone."""
    folder = path.parent if alone else path.parent.parent
    return sorted(found for found in {*folder.glob(ANSWERS), *folder.glob(f"*/{ANSWERS}")} if found.is_file())


def _answer(
    settings: EvaluateSettings,
    inputs: Sequence[Path],
    questions: Sequence[Question],
    path: Path,
    shard: int = 0,
    num_shards: int = 1,
) -> dict[str, Answer]:
    """Answers by question id, of a model that is loaded for it; `path` keeps what was answered by an earlier job."""
    with for_good():  # what collects the answers of shards needs none of it
        import torch

        from pargo.benchmarks.answering.batches import answer_questions
        from pargo.data.feature_store import FeatureStore
        from pargo.models.build import build_model, load_own_weights
        from pargo.models.language import load_tokenizer
        from pargo.models.vlm import PargoForConditionalGeneration

    benchmark, generation = settings.benchmark, settings.generation
    language, model, source, features = inputs
    torch.set_num_threads(generation.num_threads)
    store = FeatureStore(features)
    if missing := sorted({question.image for question in questions} - set(store.ids)):
        raise PargoError(f"{features} lacks {len(missing)} images of {source}, e.g. {missing[0]!r}")
    spoken = settings.language
    if generation.precision is not None:
        spoken = spoken.model_copy(update={"precision": generation.precision})
    vlm = build_model(
        PargoForConditionalGeneration,
        settings.vision,
        spoken,
        settings.projector,
        settings.lora,
        language,
        seed=0,
    )
    load_own_weights(vlm, model)
    with SavedAnswers(path, _spec(settings, inputs), _others(path, alone=num_shards == 1)) as saved:
        answer_questions(
            vlm.to("cuda" if torch.cuda.is_available() else "cpu"),
            load_tokenizer(language),
            store,
            questions,
            find_preset(load_prompt(benchmark.kind).PRESETS, benchmark.prompt),
            generation,
            saved,
            is_decided=is_decided(benchmark.kind),
            label_spans=load_label_losses(benchmark.kind).label_spans if benchmark.label_losses else None,
            rank=benchmark.ranks,
            shard=shard,
            num_shards=num_shards,
        )
        return saved.answers


def _predictions(
    settings: EvaluateSettings, source: Path, questions: Sequence[Question], answers: Mapping[str, Answer]
) -> list[Prediction]:
    benchmark = settings.benchmark
    kind = benchmark.kind
    preset = find_preset(load_prompt(benchmark.kind).PRESETS, benchmark.prompt)
    images = open_images(source, benchmark.split)
    hashes = {
        image: hashlib.sha256(images.read(image)).hexdigest() for image in {question.image for question in questions}
    }

    def parsed(question: Question) -> str:
        answer = answers[question.id]
        if answer.option_losses:
            return load_ranking(kind).rank(answer.option_losses, benchmark.parser, f"question {question.id}")
        return load_answers(kind).parse(answer.text, question, benchmark.parser)

    return [
        Prediction(
            **question.model_dump(),
            prompt=preset.wording(question),
            answer=answers[question.id].text,
            parsed=parsed(question),
            image_sha256=hashes[question.image],
            option_losses=answers[question.id].option_losses,
            label_losses=answers[question.id].label_losses,
        )
        for question in questions
    ]
