"""Captions by a model of a local directory, run here in batches through transformers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pargo.captions.prompts import choose, to_send
from pargo.captions.samples import Caption, CaptionEngine, Failure, Result, Sample, failure, read_image
from pargo.config.engines.transformers import TransformersEngine
from pargo.errors import PargoError


class Engine(CaptionEngine[TransformersEngine]):
    """Any model for images and text with a processor and a chat template.

    Raises:
        PargoError: the directory holds no such model, or needs code of its own, which is never run.
    """

    def __init__(self, settings: TransformersEngine) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        import pargo.models.auto  # noqa: F401 - registers our own models

        super().__init__(settings)
        choose(settings.prompts.variants, "")
        directory = Path(settings.directory)
        if not (directory / "config.json").is_file():
            raise PargoError(f"captions.engine.directory: {directory} holds no model (no config.json)")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._processor = AutoProcessor.from_pretrained(directory, **local)
            model = AutoModelForImageTextToText.from_pretrained(directory, dtype=settings.dtype, **local)
        except (OSError, ValueError) as error:
            raise PargoError(f"captions.engine.directory: cannot load {directory}: {error}") from error
        self._model = model.to(device).eval()
        self._name = directory.name

    @classmethod
    def request(cls, settings: TransformersEngine, name: str, record: Mapping[str, Any]) -> object:
        return to_send(settings.prompts, name, record)

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        samples = iter(samples)
        while batch := list(islice(samples, self.settings.batch_size)):
            readable = []
            for sample in batch:
                try:
                    readable.append((sample, read_image(sample)))
                except PargoError as error:
                    yield failure(sample, error)
            if readable:
                yield from self._batch(readable)

    def _batch(self, batch: list[tuple[Sample, Any]]) -> Iterator[Result]:
        import torch

        settings, tokenizer = self.settings, self._processor.tokenizer
        prompts, texts = [], []
        for sample, _ in batch:
            prompt, text = to_send(settings.prompts, sample.id, sample.record)
            prompts.append(prompt)
            content = [{"type": "image"}, {"type": "text", "text": text}]
            messages = [{"role": "user", "content": content}]
            texts.append(self._processor.apply_chat_template(messages, add_generation_prompt=True))
        tokenizer.padding_side = "left"
        images = [[image] for _, image in batch]
        inputs = self._processor(images=images, text=texts, padding=True, return_tensors="pt").to(self._model.device)
        sampling = settings.sampling
        chosen: dict[str, Any] = {"do_sample": sampling.temperature > 0}
        if sampling.temperature > 0:
            chosen |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=sampling.max_tokens, **chosen)
        start = inputs["input_ids"].shape[1]
        for (item, _), prompt, tokens in zip(batch, prompts, output[:, start:].tolist(), strict=True):
            ends = set(_list(self._model.generation_config.eos_token_id))
            finished = bool(ends & set(tokens))
            text = tokenizer.decode(tokens, skip_special_tokens=True).strip()
            if not text:
                yield Failure(item.id, "empty reply", "permanent")
                continue
            yield Caption(
                id=item.id,
                caption=text,
                model=self._name,
                revision=settings.revision or None,
                prompt=prompt,
                sampling=sampling.model_dump(exclude_none=True),
                finish_reason="stop" if finished else "length",
                usage={"completion_tokens": len(tokens)},
                time=datetime.now(UTC).isoformat(timespec="seconds"),
            )


def _list(value: Any) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]
