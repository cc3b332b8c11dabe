"""`pargo export`: a model directory becomes a directory that transformers loads, checked by loading it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pargo.benchmarks.answering.prompts import find_preset, load_prompt
from pargo.benchmarks.parts import is_decided
from pargo.benchmarks.records import PREDICTIONS, Prediction, read_predictions
from pargo.data.images import ImageSet, open_images
from pargo.errors import PargoError
from pargo.export.card import Agreement, rows_of, write_card
from pargo.export.check import check_conversation, check_question
from pargo.export.load import load_exported, load_processor
from pargo.export.model import assemble, check_same, probe
from pargo.export.settings import read_model_settings
from pargo.files import new_directory, sha256_file
from pargo.layout import Layout, manifest_path
from pargo.manifest import read_provenance, verify
from pargo.models.language import load_tokenizer
from pargo.models.processor import PargoProcessor
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.models.weights import no_progress_bar
from pargo.progress import track

BATCH_SIZE = 16


def export(
    model: Path,
    output: Path,
    *,
    language: Path | None = None,
    vision: Path | None = None,
    dtype: torch.dtype = torch.bfloat16,
    compare: int = 64,
    shard_size: str = "5GB",
) -> Agreement | None:
    """Write a model directory as a complete model: config, weights, processor, model card, provenance.

    Args:
        model: directory of a fine-tuned or converted model, e.g. `artifacts/quick/models/pargo/seed-0/finetune`.
        output: new directory; appears when everything is written.
        language, vision: directories of the language model and the vision tower; by default those of the config that
            the model directory belongs to.
        dtype: number type of the language model's weights.
        compare: how many of the questions that the run answered the copy is asked again, at most (0: none).
        shard_size: largest file of weights.

    Returns:
        How many of those questions got the same answer; None if there are none.

    Raises:
        PargoError: the output exists, a source is not found, the model is not what its manifest says, weights do
            not fit, the copy's logits are not the model's, or it would be asked with other token ids than the model
            was trained on.
    """
    settings = read_model_settings(model)
    if manifest_path(model).is_file():
        verify(model)
    spoken = settings.language
    warmed_up = spoken.warm_up is not None
    language = language or _layout(model, spoken.source, "--language").language(spoken.source, warmed_up)
    if warmed_up and not _was_read(language, model):
        raise PargoError(f"{language} is not the language model that {model} was trained with, after its warm-up")
    vision = vision or _layout(model, settings.vision.source, "--vision").source(settings.vision.source)
    with new_directory(output) as temporary:
        complete, processor = assemble(settings, model, language, vision, dtype)
        with no_progress_bar():
            complete.save_pretrained(temporary, max_shard_size=shard_size)
        processor.save_pretrained(temporary)
        tokenizer = load_tokenizer(language)
        if settings.template == "compact":
            check_conversation(tokenizer, load_processor(temporary))
        copy, _ = load_exported(temporary)
        rows = complete.get_input_embeddings().num_embeddings
        written, read = (probe(model.language_model.cpu(), rows) for model in (complete, copy))
        check_same(written, read, "as it is loaded again")
        del copy
        agreement = _compare(temporary, model, tokenizer, compare)
        write_card(
            temporary,
            model,
            settings,
            rows=rows_of(model),
            agreement=agreement,
            tokens=complete.projector.num_tokens,
            dtype=str(dtype).removeprefix("torch."),
            sources=[language, vision],
        )
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors writes them for their owner alone
    return agreement


def _was_read(artifact: Path, model: Path) -> bool:
    """Does a model's own record say that it was made with this very artifact?"""
    manifest = manifest_path(artifact)
    return manifest.is_file() and sha256_file(manifest) in read_provenance(model)["inputs"].values()


def _layout(model: Path, name: str, option: str) -> Layout:
    place = Layout.of_model(model)
    if place is None:
        raise PargoError(f"{model} is not below artifacts/<config>/models: say with {option} where {name!r} is")
    return place.layout


def _compare(exported: Path, model: Path, tokenizer: Any, count: int) -> Agreement | None:
    """Ask the exported copy what the run was asked, image files and text in, text out."""
    place = Layout.of_model(model)
    if place is None or not count:
        return None
    layout, arm, seed = place
    weights = sha256_file(manifest_path(model))
    folders = [
        path
        for path in sorted(layout.predictions(arm, seed, "any").parent.glob("*"))
        # answers of another training of this arm say nothing about these weights
        if path.is_dir() and weights in read_provenance(path)["inputs"].values()
    ]
    if not folders:
        return None
    copy, processor = load_exported(exported)
    equal = asked = 0
    for folder in folders:
        made = read_provenance(folder)["settings"]
        benchmark = made["benchmark"]
        images = open_images(layout.source(benchmark["source"]), benchmark["split"])
        preset = find_preset(load_prompt(benchmark["kind"]).PRESETS, benchmark["prompt"])
        if preset.template != "compact":  # the only one that the exported chat template knows
            continue
        predictions = read_predictions(folder / PREDICTIONS)
        for item in predictions:
            check_question(tokenizer, processor, f"benchmark {folder.name}, question {item.id}", item.prompt)
        chosen = predictions[:: max(1, -(-len(predictions) * len(folders) // count))]
        beams = made["generation"]["num_beams"] or preset.num_beams
        answers = _answers(
            copy,
            processor,
            images,
            chosen,
            max_new_tokens=made["generation"]["max_new_tokens"] or preset.max_new_tokens,
            num_beams=beams,
        )
        ended_early = made["generation"]["early_stop"] and beams == 1  # beams are never ended early
        early = is_decided(benchmark["kind"]) if ended_early else None
        equal += sum(_is_same(answer, item, early) for answer, item in zip(answers, chosen, strict=True))
        asked += len(chosen)
    return Agreement(equal, asked) if asked else None


def _is_same(answer: str, made: Prediction, is_decided: Callable[[str, Prediction], bool] | None) -> bool:
    """Whether the copy answers as the run did, which may have ended its answer when that was decided."""
    if is_decided and is_decided(made.answer, made):
        return answer.startswith(made.answer.rstrip("\ufffd"))  # where it ended within a character
    return answer == made.answer


@torch.inference_mode()
def _answers(
    model: PargoForConditionalGeneration,
    processor: PargoProcessor,
    images: ImageSet,
    predictions: Sequence[Prediction],
    *,
    max_new_tokens: int,
    num_beams: int,
) -> list[str]:
    answers = []
    batches = [predictions[start : start + BATCH_SIZE] for start in range(0, len(predictions), BATCH_SIZE)]
    for batch in track(batches, "Comparing answers (batches)"):
        conversations = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": item.prompt}]}] for item in batch
        ]
        prompts = processor.apply_chat_template(conversations, add_generation_prompt=True)
        inputs = processor(
            images=[images.load(item.image) for item in batch], text=prompts, padding=True, return_tensors="pt"
        ).to(model.device)
        ids = model.generate(**inputs, max_new_tokens=max_new_tokens, num_beams=num_beams)
        texts = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        answers += [text.strip() for text in texts]
    return answers
