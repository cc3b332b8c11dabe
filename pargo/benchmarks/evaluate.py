"""Stage `evaluate`: a model answers the questions of a benchmark; its answers are kept, and scored by another stage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from pargo.benchmarks import find
from pargo.benchmarks.easy_vqa import dataset as easy_vqa
from pargo.benchmarks.mini_mme import dataset as mini_mme
from pargo.benchmarks.records import PREDICTIONS, Prediction, write_predictions
from pargo.code import import_closure
from pargo.config.base import Settings
from pargo.config.data import Benchmark
from pargo.config.generation import Generation
from pargo.config.models import Adapter, Language, Vision
from pargo.config.projectors import Projector
from pargo.data.feature_store import FeatureStore
from pargo.data.images import open_images
from pargo.data.template import compact_question, encode_prompt, stop_ids
from pargo.errors import PargoError
from pargo.manifest import publish
from pargo.models.build import build_model, load_own_weights
from pargo.models.generate import generate
from pargo.models.language import load_tokenizer
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.progress import track

# each has read_questions(source, benchmark), parse(answer, benchmark) and export(predictions, directory)
DATASETS: dict[str, ModuleType] = {"easy_vqa": easy_vqa, "mini_mme": mini_mme}


class EvaluateSettings(Settings):
    """What the stage reads of the config. `lora` is that of fine-tuning."""

    vision: Vision
    language: Language
    projector: Projector
    lora: Adapter
    benchmark: Benchmark
    generation: Generation


def run(settings: EvaluateSettings, language: Path, model: Path, source: Path, features: Path, output: Path) -> None:
    """Write `predictions.jsonl` in the benchmark's own order, and its official result files where it has a format.

    Args:
        settings: see the class.
        language: directory of the language model.
        model: directory of the fine-tuned model.
        source: directory of the benchmark's images and questions.
        features: directory of their features.
        output: artifact directory to publish.

    Raises:
        PargoError: a broken benchmark, features of other images, or weights that do not fit.
    """
    torch.set_num_threads(settings.generation.num_threads)
    benchmark = settings.benchmark
    dataset = find(DATASETS, benchmark.kind)
    questions = dataset.read_questions(source, benchmark)
    store = FeatureStore(features)
    if missing := sorted({question.image for question in questions} - set(store.ids)):
        raise PargoError(f"{features} lacks {len(missing)} images of {source}, e.g. {missing[0]!r}")
    compact = benchmark.prompt == "compact"
    tokenizer = load_tokenizer(language)
    vlm = build_model(
        PargoForConditionalGeneration,
        settings.vision,
        settings.language,
        settings.projector,
        settings.lora,
        language,
        seed=0,
    )
    load_own_weights(vlm, model)
    answers = generate_answers(
        vlm.to("cuda" if torch.cuda.is_available() else "cpu"),
        tokenizer,
        store,
        [question.image for question in questions],
        [encode_prompt(tokenizer, question.question, compact=compact) for question in questions],
        settings.generation,
    )
    images = open_images(source, benchmark.split)
    hashes = {
        image: hashlib.sha256(images.read(image)).hexdigest() for image in {question.image for question in questions}
    }
    predictions = [
        Prediction(
            **question.model_dump(),
            prompt=compact_question(question.question) if compact else question.question,
            answer=answer,
            parsed=dataset.parse(answer, benchmark),
            image_sha256=hashes[question.image],
        )
        for question, answer in zip(questions, answers, strict=True)
    ]
    inputs = [language, model, source, features]
    code = import_closure("pargo.benchmarks.evaluate")
    with publish(output, settings=settings, inputs=inputs, code=code) as directory:
        write_predictions(directory / PREDICTIONS, predictions)
        dataset.export(predictions, directory)


def generate_answers(
    model: PargoForConditionalGeneration,
    tokenizer: Any,
    store: FeatureStore,
    images: Sequence[str],
    prompts: Sequence[Sequence[int]],
    generation: Generation,
) -> list[str]:
    """Decoded answers without surrounding space, in the order of the prompts.

    Args:
        model: answers on the device it is on.
        tokenizer: of the language model.
        store: features of the images.
        images: id of each prompt's image.
        prompts: token ids with an `IMAGE` placeholder each.
        generation: batch size and how to decode.
    """
    # Questions of an image come together, so that it is read once for most of them; images with long questions come
    # first: little of a batch is padding, and too little memory shows early.
    longest: dict[str, int] = {}
    for image, prompt in zip(images, prompts, strict=True):
        longest[image] = max(longest.get(image, 0), len(prompt))
    order = sorted(range(len(prompts)), key=lambda index: (-longest[images[index]], images[index], index))
    size = generation.batch_size
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    device = next(model.parameters()).device
    answers = [""] * len(prompts)
    for batch in track(batches, "Answering (batches)"):
        shown = list(dict.fromkeys(images[index] for index in batch))
        generated = generate(
            model,
            torch.stack([store[image] for image in shown]).to(device),
            [prompts[index] for index in batch],
            max_new_tokens=generation.max_new_tokens,
            num_beams=generation.num_beams,
            stop_ids=stop_ids(tokenizer),
            images=[shown.index(images[index]) for index in batch],
        )
        for index, ids in zip(batch, generated, strict=True):
            answers[index] = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return answers
