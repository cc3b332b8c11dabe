"""Stage `warm_up`: a small language model learns the form of captions and conversations, before it sees any image.

No image is needed: the details of its caption, each as one vector, stand in its place, as an alignment draws the
tokens of projectors to them. So a toy-scale language model can already copy colors, count and answer yes or no when the
projectors begin, and all that is left to learn for them is to say what is in the image. All arms and seeds start from
the same warmed-up model.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pargo.code import import_closure
from pargo.config.base import Name, Settings
from pargo.config.models import Language
from pargo.config.warm_up import WarmUp
from pargo.data.annotations import describe
from pargo.data.pieces import TEXT, text_tokenizer
from pargo.data.shards import Shards
from pargo.data.template import (
    IGNORE_INDEX,
    IMAGE,
    Encoded,
    caption_pieces,
    compact_question,
    conversation_pieces,
    encode,
)
from pargo.errors import InputError, PargoError
from pargo.manifest import publish
from pargo.models.cut_vocabulary import ID_NAMES, check_same, cut_matrices, cut_tokenizer, kept_tokens
from pargo.models.language import load_language_model, load_tokenizer, resolve_precision
from pargo.models.weights import no_progress_bar
from pargo.train.batch import Batch, Sample, collate
from pargo.train.checkpoint import Checkpoint, Checkpoints, spec_of
from pargo.train.cross_entropy import check_logits, check_packing, summed_cross_entropy
from pargo.train.details import DetailEmbeddings, details_in
from pargo.train.determinism import be_deterministic
from pargo.train.pace import Progress
from pargo.train.sampler import Sampler, seed_of
from pargo.train.schedule import rise_and_cosine
from pargo.train.termination import Termination

CHECKPOINT_INTERVAL = 100  # steps
BETAS, MAX_GRADIENT_NORM = (0.9, 0.95), 1.0
MOMENTS = ("exp_avg", "exp_avg_sq")
NOISE = 0.25  # of what stands for an image, relative to a detail's vector: projectors do not hit it exactly


class WarmUpSettings(Settings):
    """What this stage reads; `sources` and `splits` are those of the datasets in the mixture of `language.warm_up`."""

    language: Language
    sources: dict[Name, Name]
    splits: dict[Name, str]


class DescribedTexts:
    """Captions and conversations of a split, and the details that stand in place of the image.

    Samples of which nothing is known are left out.

    Args:
        directory: of the split.
        train: what samples look like.
        seed: decides, with sample and epoch, what a sample looks like.

    Attributes:
        details: what is to be seen in each sample, by its id.

    Raises:
        PargoError: a record cannot be read, has no conversation or no annotations, or more details than
            `num_image_tokens`.
    """

    def __init__(self, directory: Path, tokenizer: Any, train: WarmUp, seed: int) -> None:
        self._shards = Shards(directory)
        self._tokenizer = tokenizer
        self._train = train
        self._seed = seed
        self.details = {record["id"]: details_in(self._read(record)[0]) for record in self._shards.records()}
        self.ids = [sample_id for sample_id, details in self.details.items() if details]
        for sample_id in self.ids:
            if len(self.details[sample_id]) > train.num_image_tokens:
                raise InputError(
                    f"{directory}: sample {sample_id!r} has {len(self.details[sample_id])} details, which cannot stand "
                    f"for an image of language.warm_up.num_image_tokens: {train.num_image_tokens}"
                )

    def encode(self, sample_id: str, epoch: int, captions: float) -> tuple[list[str], Encoded]:
        """A sample: `num_image_tokens` details, of which each is there at least once, in any order; and the text.

        Args:
            captions: probability of a caption; else it is a conversation.
        """
        caption, turns = self._read(self._shards.record(sample_id))
        random = Random(f"{self._seed}/{sample_id}/{epoch}")
        details = list(self.details[sample_id])
        details += random.choices(details, k=self._train.num_image_tokens - len(details))
        random.shuffle(details)
        if random.random() < captions:
            pieces = caption_pieces(caption)
        else:
            random.shuffle(turns)
            pieces = list(conversation_pieces(turns[: self._train.max_turns]))
        return details, encode(self._tokenizer, pieces)

    def texts(self) -> Iterator[str]:
        """All that any sample may hold, piece by piece as it is tokenized."""
        for record in self._shards.records():
            caption, turns = self._read(record)
            yield from (f" {detail}" for detail in self.details[record["id"]])
            yield from (
                piece.text for piece in (*caption_pieces(caption), *conversation_pieces(turns)) if piece.kind == TEXT
            )

    def _read(self, record: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
        """Caption and turns of a record."""
        try:
            turns = [(compact_question(question), answer) for question, answer in record["conversation"]]
            return describe(record), turns
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                f"{self._shards.directory}: sample {record['id']!r} has no annotations or no conversation; a warm-up "
                "reads both"
            ) from None


def run(
    settings: WarmUpSettings,
    language: Path,
    sources: Mapping[str, Path],
    output: Path,
    run_directory: Path,
) -> None:
    """Train all layers of the language model on text; its embeddings and output layer stay as they are.

    Args:
        settings: of the stage.
        language: directory of the language model.
        sources: dataset name -> source directory, whose records have annotations and conversations.
        output: artifact directory to publish: a language model of its own (already cut, where `layers` says so), and
            `metrics.jsonl`.
        run_directory: checkpoints.

    Raises:
        PargoError: a sample or a checkpoint cannot be read or written, the loss is not finite, or a signal came.
    """
    train, code, inputs = _warm_up(settings), import_closure(__name__), [language, *sources.values()]
    torch.set_num_threads(train.num_threads)
    be_deterministic(True)
    spec = spec_of(settings.model_dump(mode="json"), inputs, code)
    checkpoints = Checkpoints(run_directory / "checkpoints", spec, keep=1)
    checkpoint = checkpoints.load()
    with publish(output, settings=settings, inputs=inputs, code=code, measured=(measured := {})) as directory:
        tokenizer = load_tokenizer(language)
        whole = settings.language.model_copy(update={"precision": "fp32", "warm_up": None})
        model = load_language_model(whole, language)
        measured["precision"] = checkpoint.computed["precision"] if checkpoint else _precision(settings.language)
        check_logits(model)
        check_packing(model)
        texts = _texts(settings, sources, tokenizer)
        if train.vocabulary == "texts":
            tokenizer = _cut_vocabulary(model, tokenizer, texts.values(), directory)
            texts = _texts(settings, sources, tokenizer)
        order = _Order(texts, train, tokenizer, model.get_input_embeddings().weight)
        metrics = _train(model, order, train, checkpoints, checkpoint, measured)
        with no_progress_bar():
            model.save_pretrained(directory)
        _check_saved(model, settings.language, directory)
        if train.vocabulary == "all":
            tokenizer.save_pretrained(directory)
        (directory / "metrics.jsonl").write_text("".join(metrics), encoding="utf-8")
        for path in directory.iterdir():
            path.chmod(0o644)  # safetensors writes them for their owner alone
    shutil.rmtree(run_directory / "checkpoints", ignore_errors=True)
    print(f"published {output}", flush=True)


class _Order:
    """All samples of a warm-up, by their global index.

    Args:
        embeddings: [vocabulary, D] of the language model.
    """

    def __init__(self, texts: Mapping[str, DescribedTexts], train: WarmUp, tokenizer: Any, embeddings: Tensor) -> None:
        self._texts = texts
        self._train = train
        known = {detail for dataset in texts.values() for details in dataset.details.values() for detail in details}
        plain = text_tokenizer(tokenizer).plain
        self._details = DetailEmbeddings(embeddings, {detail: plain(f" {detail}") for detail in sorted(known)})
        seed = seed_of(train.seed, "warm_up")
        self._sampler = Sampler(seed, {name: dataset.ids for name, dataset in texts.items()}, train.mixture)

    def names(self, indices: Sequence[int]) -> list[str]:
        """`dataset/sample id` of each."""
        draws = map(self._sampler.draw, indices)
        return [f"{draw.dataset}/{draw.sample_id}" for draw in draws]

    def batch(self, indices: Sequence[int]) -> Batch:
        """Samples in one row, without padding; what stands for images is [B, num_image_tokens, D]."""
        samples = [self._sample(index) for index in indices]
        return collate(samples, num_image_tokens=self._train.num_image_tokens, image_token_id=IMAGE, packing=True)

    def _sample(self, index: int) -> Sample:
        draw = self._sampler.draw(index)
        captions = self._train.captions_at(index / self._train.num_samples)
        details, text = self._texts[draw.dataset].encode(draw.sample_id, draw.epoch, captions)
        vectors = self._details.vectors[self._details.places(details)]
        generator = torch.Generator().manual_seed(seed_of(self._train.seed, "noise", index) % 2**63)
        noise = torch.randn(vectors.shape, generator=generator) * (self._details.scale / vectors.shape[1]) ** 0.5
        return Sample(f"{draw.dataset}/{draw.sample_id}", vectors + NOISE * noise, text)


def _texts(settings: WarmUpSettings, sources: Mapping[str, Path], tokenizer: Any) -> dict[str, DescribedTexts]:
    train = _warm_up(settings)
    seed = seed_of(train.seed, "warm_up")
    return {
        # seeded by its place, not by its name: that may change
        name: DescribedTexts(sources[name] / settings.splits[name], tokenizer, train, seed_of(seed, place))
        for place, name in enumerate(sorted(train.mixture))
    }


def _train(
    model: PreTrainedModel,
    order: _Order,
    train: WarmUp,
    checkpoints: Checkpoints,
    checkpoint: Checkpoint | None,
    computed: Mapping[str, str],
) -> list[str]:
    """Train in place, from a checkpoint if there is one; a JSON line for each step."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    head = model.get_output_embeddings().weight
    embeddings = model.get_input_embeddings().weight
    parameters = {name: p for name, p in model.get_decoder().named_parameters() if p is not embeddings}
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=train.learning_rate, betas=BETAS, weight_decay=0.0, fused=True
    )
    metrics, start = list[str](), 0
    if checkpoint is not None:
        metrics, start = checkpoint.metrics, checkpoint.step
        _load(checkpoint, parameters, optimizer)
        print(f"resuming after step {start}", flush=True)
    half = torch.autocast(device.type, torch.bfloat16, enabled=computed["precision"] == "bf16")
    progress = Progress(train, start)
    with Termination() as termination:
        for step in range(start, train.num_steps):
            indices = range(step * train.batch_size, (step + 1) * train.batch_size)
            batch = order.batch(indices).to(device)
            rate = train.learning_rate * rise_and_cosine(step, train.num_steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(seed_of(train.seed, "step", step) % 2**63)  # of dropout, where a model has some
            with half:
                loss = _loss(model, head, batch)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters.values(), MAX_GRADIENT_NORM)
            if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
                names = ", ".join(order.names(indices))
                problem = f"step {step + 1}: loss {loss.item()}, gradient norm {norm.item()}"
                raise PargoError(f"{problem}; diverged, or a bad sample; samples: {names}")
            optimizer.step()
            optimizer.zero_grad()
            row = {"step": step + 1, "loss": loss.item(), "gradient_norm": norm.item(), "learning_rate": rate}
            metrics.append(json.dumps(row) + "\n")
            progress.update(step + 1, row | {"samples": (step + 1) * train.batch_size})
            stop = termination.asked
            if ((step + 1) % CHECKPOINT_INTERVAL == 0 or stop) and step + 1 < train.num_steps:
                weights = {name: p.detach().to("cpu", copy=True) for name, p in parameters.items()}
                checkpoints.save(step + 1, weights, _state(parameters, optimizer), metrics, computed)
                if stop:
                    raise PargoError(f"ended by {stop} after step {step + 1}; the next run continues from there")
    return metrics


def _loss(model: PreTrainedModel, head: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of the supervised tokens."""
    is_image = batch.input_ids == IMAGE
    embeddings = model.get_input_embeddings()(batch.input_ids.masked_fill(is_image, 0))
    embeddings = embeddings.masked_scatter(is_image.unsqueeze(-1), batch.images.to(embeddings.dtype))
    output = model.get_decoder()(inputs_embeds=embeddings, position_ids=batch.position_ids, use_cache=False)
    labels = batch.labels.flatten()
    rows = (labels != IGNORE_INDEX).nonzero().squeeze(1)
    return summed_cross_entropy(output.last_hidden_state.flatten(0, 1)[rows], head, labels[rows]) / len(rows)


def _state(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state
    found = {f"{key}.{name}": state[p][key].to("cpu", copy=True) for name, p in parameters.items() for key in MOMENTS}
    return found | {"step": next(iter(state.values()))["step"].to("cpu", copy=True)}


@torch.no_grad()
def _load(checkpoint: Checkpoint, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(checkpoint.weights[name])
        moments = {key: checkpoint.optimizer[f"{key}.{name}"].to(parameter.device) for key in MOMENTS}
        optimizer.state[parameter] = {"step": checkpoint.optimizer["step"].to(parameter.device, copy=True), **moments}


def _cut_vocabulary(model: PreTrainedModel, tokenizer: Any, datasets: Iterable[DescribedTexts], directory: Path) -> Any:
    """Cut the model, in place, to the tokens that its texts have; the new tokenizer, which is saved."""
    texts = {text for dataset in datasets for text in dataset.texts()}
    known = text_tokenizer(tokenizer)
    own = (getattr(model.config, name, None) for name in ID_NAMES)  # which a text need not have
    needed = {
        number for value in own for number in (value if isinstance(value, list) else [value]) if number is not None
    }
    kept = kept_tokens(tokenizer, needed.union(*map(known.plain, texts)))
    cut_tokenizer(tokenizer, kept, directory)
    cut_matrices(model, kept)
    model.config.save_pretrained(directory)
    after = load_tokenizer(directory)
    check_same(tokenizer, after, kept, sorted(texts))
    print(f"vocabulary: {len(kept):,} tokens, of {len(tokenizer):,}", flush=True)
    return after


@torch.no_grad()
def _check_saved(model: PreTrainedModel, language: Language, directory: Path) -> None:
    """Raise PargoError unless the saved model is loaded as it was trained: layers may be told things by place."""
    ids = torch.arange(8).unsqueeze(0) % model.get_input_embeddings().num_embeddings
    again = load_language_model(language.model_copy(update={"precision": "fp32"}), directory).eval()
    if not torch.equal(model.cpu().eval()(ids).logits, again(ids).logits):
        raise PargoError(
            f"{type(model).__name__} is another model when it is loaded again: what its layers are told by their "
            "place does not survive the cut; choose other language.layers, or all"
        )


def _warm_up(settings: WarmUpSettings) -> WarmUp:
    if settings.language.warm_up is None:
        raise InputError("language.warm_up: required, as this stage is told by it what to do")
    return settings.language.warm_up


def _precision(language: Language) -> str:
    return "bf16" if resolve_precision(language.precision) == torch.bfloat16 else "fp32"
