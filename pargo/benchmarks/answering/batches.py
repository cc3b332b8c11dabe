"""A model answers questions in batches that depend on the questions alone, not on what has been answered before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from pargo.benchmarks.answering.prompts import Preset
from pargo.benchmarks.answering.saved import Answer, Losses, SavedAnswers
from pargo.benchmarks.records import Question
from pargo.config.generation import Generation
from pargo.data.feature_store import FeatureStore
from pargo.data.template import encode_answer
from pargo.models.generate import generate
from pargo.models.rank import option_losses, token_losses
from pargo.models.vlm import PargoForConditionalGeneration
from pargo.progress import track

Decided = Callable[[str, Question], bool]
Spans = Callable[[Question], list[tuple[str, int, int]]]


def answer_questions(
    model: PargoForConditionalGeneration,
    tokenizer: Any,
    store: FeatureStore,
    questions: Sequence[Question],
    preset: Preset,
    generation: Generation,
    saved: SavedAnswers,
    *,
    is_decided: Decided | None = None,
    label_spans: Spans | None = None,
    rank: bool = False,
    shard: int = 0,
    num_shards: int = 1,
) -> None:
    """Add the answers that `saved` lacks, a batch at a time.

    Args:
        model: answers on the device it is on.
        tokenizer: of the language model.
        store: features of the images.
        questions: all of the benchmark, in its order.
        preset: how they are asked.
        generation: batch size and how to decode.
        saved: where the answers go.
        is_decided: of the benchmark; ends an answer early (`Generation.early_stop`).
        label_spans: of a benchmark that asks for the losses of its right answers' facts, see `LabelLossesPart`.
        rank: choose among the question's options by loss instead of generating text.
        shard, num_shards: answer every `num_shards`-th batch, from number `shard` on.
    """
    prompts = [preset.encode(tokenizer, question) for question in questions]
    device = next(model.parameters()).device
    batches = make_batches([question.image for question in questions], list(map(len, prompts)), generation.batch_size)
    mine = batches[shard::num_shards]
    saved.adopt({questions[index].id for batch in mine for index in batch})
    if saved.answers:
        print(f"going on after {len(saved.answers)} saved answers", flush=True)
    todo = [batch for batch in mine if any(questions[index].id not in saved.answers for index in batch)]
    for batch in track(todo, "Answering (batches)"):
        chosen, asked = [questions[index] for index in batch], [prompts[index] for index in batch]
        if rank:
            answers = _rank(model, tokenizer, store, chosen, asked)
        else:
            shown = list(dict.fromkeys(question.image for question in chosen))
            ids = generate(
                model,
                torch.stack([store[image] for image in shown]).to(device),
                asked,
                max_new_tokens=generation.max_new_tokens or preset.max_new_tokens,
                num_beams=generation.num_beams or preset.num_beams,
                stop_ids=preset.stop_ids(tokenizer),
                images=[shown.index(question.image) for question in chosen],
                is_decided=_decide(tokenizer, chosen, is_decided) if is_decided and generation.early_stop else None,
            )
            answers = [Answer(_text(tokenizer, row)) for row in ids]
        if label_spans:
            losses = _label_losses(model, tokenizer, store, chosen, asked, label_spans)
            answers = [answer._replace(label_losses=found) for answer, found in zip(answers, losses, strict=True)]
        saved.add({question.id: answer for question, answer in zip(chosen, answers, strict=True)})


def make_batches(images: Sequence[str], lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of the questions of each batch.

    Questions of an image come together, so that it is read once for most of them; images with long prompts come first:
    little of a batch is padding, and too little memory shows early.

    Args:
        images: id of each question's image.
        lengths: tokens of each prompt.
        size: questions of a batch.
    """
    longest: dict[str, int] = {}
    for image, length in zip(images, lengths, strict=True):
        longest[image] = max(longest.get(image, 0), length)
    order = sorted(range(len(images)), key=lambda index: (-longest[images[index]], images[index], index))
    return [order[start : start + size] for start in range(0, len(order), size)]


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


def _decide(tokenizer: Any, questions: Sequence[Question], is_decided: Decided) -> Callable[[int, list[int]], bool]:
    return lambda row, ids: is_decided(_text(tokenizer, ids), questions[row])


def _rank(
    model: PargoForConditionalGeneration,
    tokenizer: Any,
    store: FeatureStore,
    questions: Sequence[Question],
    prompts: Sequence[Sequence[int]],
) -> list[Answer]:
    """The losses of all options of a batch; the text is left empty, since what is chosen depends on the length rule."""
    device = next(model.parameters()).device
    found: list[Losses] = [{} for _ in questions]
    rows = [(index, letter) for index, question in enumerate(questions) for letter in question.options]
    for start in range(0, len(rows), len(questions)):
        part = rows[start : start + len(questions)]
        texts = [encode_answer(tokenizer, questions[index].options[letter]) for index, letter in part]
        features = torch.stack([store[questions[index].image] for index, _ in part]).to(device)
        losses = option_losses(model, features, [prompts[index] for index, _ in part], texts)
        for (index, letter), loss, ids in zip(part, losses, texts, strict=True):
            found[index][letter] = (loss, len(ids))
    return [Answer("", losses) for losses in found]


def _label_losses(
    model: PargoForConditionalGeneration,
    tokenizer: Any,
    store: FeatureStore,
    questions: Sequence[Question],
    prompts: Sequence[Sequence[int]],
    label_spans: Spans,
) -> list[Losses]:
    """The losses of the right answers' facts by kind, after the right text before them."""
    texts = [encode_answer(tokenizer, question.label) for question in questions]
    features = torch.stack([store[question.image] for question in questions]).to(next(model.parameters()).device)
    found: list[Losses] = []
    for question, ids, losses in zip(questions, texts, token_losses(model, features, prompts, texts), strict=True):
        sums: Losses = {}
        begins = token_begins(tokenizer, question.label, ids)
        for kind, start, end in label_spans(question):
            # a token that goes on behind a word is that word's; a kind of which there is none stays, as 0 of 0
            chosen = [loss.item() for begin, loss in zip(begins, losses, strict=True) if start <= begin < end]
            loss, number = sums.get(kind, (0.0, 0))
            sums[kind] = loss + sum(chosen), number + len(chosen)
        found.append(sums)
    return found


def token_begins(tokenizer: Any, answer: str, ids: Sequence[int]) -> list[int]:
    """Where in an answer's text its tokens begin: characters, counted from the space that is put before the answer.

    A token begins where the longest text ends that is made of the tokens before it.

    Args:
        ids: of the answer, as `encode_answer` gives them.
    """
    begins = [0]
    for length in range(1, len(answer) + 2):
        before = encode_answer(tokenizer, answer[: length - 1])
        same = next((n for n, (one, other) in enumerate(zip(before, ids, strict=False)) if one != other), len(before))
        # where no text ends between two tokens, the second begins before the character that ends it
        begins += [length - 1] * (same - len(begins)) + [length] * (same >= len(begins))
    return begins[: len(ids)]
