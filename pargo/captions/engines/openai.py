"""Captions by a model behind any OpenAI-compatible server; only fields that all such servers know are sent."""

from __future__ import annotations

import base64
import io
import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

from pargo.captions.engines.breaker import Breaker
from pargo.captions.prompts import choose, fill
from pargo.captions.samples import Caption, Failure, Result, Sample
from pargo.chat_client import ChatClient, Refused, Reply, Unavailable
from pargo.config import captions as config
from pargo.config.captions import Picture
from pargo.data.rgb import open_rgb
from pargo.errors import PargoError
from pargo.threads import in_threads

# why a model may stop and have said something; `length`: it was cut off, which the filter drops
FINISHED = (None, "stop", "length", "eos", "eos_token", "stop_sequence")
FIRST_WAIT = 0.5  # seconds before the second try; doubled each time, with as much again at random


class Engine:
    """Many requests at a time; tries an image again when the server is busy, fails or says nothing of sense.

    Raises:
        PargoError: no key in the environment, or a prompt that is not known.
    """

    def __init__(self, settings: config.OpenAIEngine) -> None:
        self._settings = settings
        choose(settings.prompts.variants, "")
        self._client = ChatClient(settings, "caption server")
        self._breaker = Breaker(max(20, 2 * settings.num_threads), settings.max_wait, settings.max_outage)

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        return in_threads(self._one, samples, self._settings.num_threads)

    def _one(self, sample: Sample) -> Result:
        settings = self._settings
        prompt = choose(settings.prompts.variants, sample.id)
        hint = sample.record.get("alt_text") if settings.prompts.hint else None
        try:
            url = data_url(sample, settings.picture)
        except PargoError as error:
            return Failure(sample.id, str(error), "permanent")
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": fill(prompt, hint)}]
        ask = partial(self._client.ask, [{"role": "user", "content": parts}], **settings.sampling.model_dump())
        tries = 0
        while True:
            probe = self._breaker.enter()
            try:
                reply = ask()
            except Refused as error:
                self._breaker.succeeded()
                return Failure(sample.id, f"refused: {error}", "permanent")
            except Unavailable as error:
                own = self._breaker.failed(probe=probe)
                tries += own
                if tries >= settings.max_tries:
                    return Failure(sample.id, f"{error} ({tries} tries)", "unavailable")
                if own:
                    time.sleep(self._wait(tries, error.retry_after))
            else:
                self._breaker.succeeded()
                return self._result(sample, prompt, reply)

    def _wait(self, tries: int, retry_after: float | None) -> float:
        if retry_after is not None:
            return min(retry_after * random.uniform(1, 1.2), self._settings.max_wait)
        return min(FIRST_WAIT * 2 ** (tries - 1) * random.uniform(1, 2), self._settings.max_wait)

    def _result(self, sample: Sample, prompt: str, reply: Reply) -> Result:
        text = reply.content.strip()
        if reply.finish_reason not in FINISHED:
            return Failure(sample.id, f"finish reason {reply.finish_reason[:40]}", "permanent")
        if not text:
            return Failure(sample.id, "empty reply", "permanent")
        return Caption(
            id=sample.id,
            caption=text,
            model=reply.model,
            revision=self._settings.revision or None,
            prompt=prompt,
            sampling=self._settings.sampling.model_dump(exclude_none=True),
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def data_url(sample: Sample, picture: Picture) -> str:
    """The image as a JPEG in a data URI, no side longer than `picture.max_side`.

    Raises:
        PargoError: it cannot be read.
    """
    image = open_rgb(io.BytesIO(sample.images.read(sample.id)), sample.id)
    image.thumbnail((picture.max_side, picture.max_side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=picture.quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
