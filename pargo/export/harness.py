"""An exported model as a model of lmms-eval: `lmms_eval --model pargo --model_args pretrained=DIR --tasks mme`.

lmms-eval is optional and finds `manifest` through the entry point in pyproject.toml; nothing else imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from lmms_eval.api.instance import GenerationResult
from lmms_eval.api.model import lmms
from PIL import Image

from pargo.data.pieces import IMAGE_TOKEN, text_tokenizer
from pargo.data.template import encode_answer
from pargo.errors import InputError
from pargo.export.load import load_exported
from pargo.progress import track

WITHOUT_EFFECT = ("image_aspect_ratio", "seed", "top_k", "top_p")  # nothing is sampled, and the processor fits images
SUPPORTED = ("do_sample", "max_gen_toks", "max_new_tokens", "num_beams", "temperature", "until", *WITHOUT_EFFECT)


def manifest() -> Any:
    """What lmms-eval registers."""
    # not above: its registry loads this module while it is itself being imported
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("pargo", simple_class_path=f"{__name__}.{HarnessModel.__name__}")


class Decoding(NamedTuple):
    """What a batch must have in common."""

    max_new_tokens: int
    num_beams: int


class Asked(NamedTuple):
    """A request's question; `document` gives its images, `name` is what an error calls it."""

    name: str
    text: str
    images: Callable[[Any], Sequence[Any] | None]
    document: Callable[[], Any]

    def message(self) -> tuple[dict, list[Image.Image]]:
        """The user's message, and its image if it has one, which comes first wherever the text has a line for it.

        Raises:
            InputError: several images, none for a marker in the text, or something that is no image.
        """
        images = list(self.images(self.document()) or () if callable(self.images) else ())
        if other := [type(visual).__name__ for visual in images if not isinstance(visual, Image.Image)]:
            raise InputError(f"{self.name}: the model sees images (PIL), but the task gives {', '.join(other)}")
        # LLaVA's marker is a line of its own; within a line it is text as any other
        lines = self.text.split("\n")
        kept = [line for line in lines if line.strip() != IMAGE_TOKEN]
        text = self.text if kept == lines else "\n".join(kept).strip("\n")
        needed = max(len(images), len(lines) - len(kept))
        if needed > 1:
            raise InputError(f"{self.name} has {needed} images; the model takes one")
        if needed > len(images):
            raise InputError(f"{self.name}: the text has a line {IMAGE_TOKEN}, but the task gives no image")
        return {"role": "user", "content": [{"type": "image"}] * needed + [{"type": "text", "text": text}]}, images


class HarnessModel(lmms):
    """Answers the requests of tasks about at most one image, by greedy or beam search, or ranks given options.

    Args:
        pretrained: directory of an exported model.
        batch_size: requests at once; in float32 answers do not depend on it, in bf16 some do (1 answers each alone).
        device: by default this process's GPU, or the CPU.
        max_new_tokens: length limit of an answer, whatever a task says; by default what the task says, or else the
            model's own.

    Raises:
        InputError: no exported model in the directory, or a number below 1.
    """

    def __init__(
        self,
        pretrained: str,
        batch_size: int | str = 1,
        device: str | None = None,
        max_new_tokens: int | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = _positive("batch_size", batch_size)
        self.max_new_tokens = None if max_new_tokens is None else _positive("max_new_tokens", max_new_tokens)
        self.accelerator = Accelerator()  # knows which GPU is whose under `accelerate launch`
        self.device = torch.device(device) if device else self.accelerator.device
        model, self.processor = load_exported(Path(pretrained))
        self.model = model.to(self.device)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """An answer for each request, cut before the first of its `until`.

        Raises:
            InputError: sampling or another unsupported setting of generation; see also `Asked.message`.
        """
        asked = [self._asked(request) for request in requests]
        settings = [request.args[1] for request in requests]
        decoding = [self._decoding(one.name, kwargs) for one, kwargs in zip(asked, settings, strict=True)]
        answers = [""] * len(requests)
        for batch in track(make_batches(decoding, self._lengths(asked), self.batch_size), "Answering (batches)"):
            texts = self._answers([asked[index] for index in batch], decoding[batch[0]])
            for index, text in zip(batch, texts, strict=True):
                answers[index] = cut(text, settings[index].get("until")).strip()
        return answers

    def loglikelihood(self, requests: Sequence[Any]) -> list[GenerationResult]:
        """For each request the loss of its option, and whether greedy search would give it; `text` is this pair.

        The loss is the mean cross entropy of the option's tokens, in nats: lmms-eval chooses the least one, so its own
        models return that, whatever the method is called. A bare pair would be made a string by lmms-eval 0.7.3.

        Raises:
            InputError: an empty option, or one without its question (`acc_mutual_info`); see also `Asked.message`.
        """
        asked = [self._asked(request) for request in requests]
        options = []
        for one, request in zip(asked, requests, strict=True):
            target = request.args[1]
            options.append(str(target(one.document()) if callable(target) else target).strip())
            if not options[-1]:
                raise InputError(f"{one.name}: an option is empty")
        lengths = [length + len(option) for length, option in zip(self._lengths(asked), options, strict=True)]
        found: list[Any] = [None] * len(requests)
        for batch in track(make_batches([0] * len(requests), lengths, self.batch_size), "Ranking (batches)"):
            ranked = self._losses([asked[index] for index in batch], [options[index] for index in batch])
            for index, pair in zip(batch, ranked, strict=True):
                found[index] = GenerationResult(pair)
        return found

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        raise NotImplementedError("pargo answers one question at a time: tasks of several rounds are not supported")

    @torch.inference_mode()
    def _answers(self, asked: Sequence[Asked], decoding: Decoding) -> list[str]:
        inputs = self._inputs(asked)
        ids = self.model.generate(**inputs, **decoding._asdict())
        return self.processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    @torch.inference_mode()
    def _losses(self, asked: Sequence[Asked], options: Sequence[str]) -> list[tuple[float, bool]]:
        inputs, tokenizer = self._inputs(asked), self.processor.tokenizer
        answers = [encode_answer(tokenizer, option) for option in options]
        prompts = zip(inputs["input_ids"], inputs["attention_mask"].bool(), answers, strict=True)
        rows = [[*ids[mask].tolist(), *answer] for ids, mask, answer in prompts]
        inputs |= tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(self.device)
        # padded on the left, so that all options end together
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        logits = self.model(**inputs, logits_to_keep=max(map(len, answers)) + 1).logits.float()
        logits[..., self.processor.image_token_id] = -torch.inf  # never an answer, and not in the trained vocabulary
        found = []
        for row, answer in zip(logits, answers, strict=True):
            scores, ids = row[-len(answer) - 1 : -1], torch.tensor(answer, device=self.device)
            found.append((F.cross_entropy(scores, ids).item(), bool((scores.argmax(-1) == ids).all())))
        return found

    def _inputs(self, asked: Sequence[Asked]) -> dict[str, Any]:
        messages, images = zip(*(one.message() for one in asked), strict=True)
        prompts = self.processor.apply_chat_template([[one] for one in messages], add_generation_prompt=True)
        flat = [image for one in images for image in one]
        inputs = self.processor(images=flat or None, text=prompts, padding=True, return_tensors="pt")
        return dict(inputs.to(self.device))

    def _lengths(self, asked: Sequence[Asked]) -> list[int]:
        """Length of each question's text, in tokens."""
        return [len(text_tokenizer(self.processor.tokenizer).plain(one.text)) for one in asked]

    def _asked(self, request: Any) -> Asked:
        if len(request.args) != 6:
            raise InputError(
                f"{request.task_name}: a request without its document; the metric acc_mutual_info is not supported"
            )
        text, _, images, number, task, split = request.args
        return Asked(f"{task}, document {number}", text, images, lambda: self.task_dict[task][split][number])

    def _decoding(self, name: str, kwargs: Mapping[str, Any]) -> Decoding:
        if unknown := sorted(set(kwargs) - set(SUPPORTED)):
            raise InputError(f"{name}: no generation setting(s) {', '.join(unknown)}; there are {', '.join(SUPPORTED)}")
        temperature = kwargs.get("temperature")
        if kwargs.get("do_sample", bool(temperature)) and temperature != 0:
            raise InputError(f"{name} samples its answers; ask with --gen_kwargs do_sample=False,temperature=0")
        asked = kwargs.get("max_new_tokens") or kwargs.get("max_gen_toks")
        limit = self.max_new_tokens or asked or self.model.generation_config.max_new_tokens
        return Decoding(_positive("max_new_tokens", limit), _positive("num_beams", kwargs.get("num_beams") or 1))


def make_batches(kinds: Sequence[Any], lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of the requests of each batch: all of a kind, the longest first, so that little of a batch is padding.

    Args:
        kinds: of each request; they can be sorted.
        lengths: of each request.
        size: requests of a batch.
    """
    order = sorted(range(len(kinds)), key=lambda index: (kinds[index], -lengths[index], index))
    groups = [list(group) for _, group in groupby(order, key=lambda index: kinds[index])]
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]


def cut(text: str, until: str | Sequence[str] | None) -> str:
    """The text before the first of the strings that end it."""
    ends = [until] if isinstance(until, str) else until or ()
    return text[: min((text.index(end) for end in ends if end and end in text), default=len(text))]


def _positive(name: str, value: Any) -> int:
    if not str(value).isdecimal() or int(value) < 1:
        raise InputError(f"{name} is {value!r}; expected a whole number from 1 on")
    return int(value)
