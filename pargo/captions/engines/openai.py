"""Captions by a model behind any OpenAI-compatible server; only fields that all such servers know are sent."""

from __future__ import annotations

import base64
import io
import random
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from pargo.captions.breaker import Breaker
from pargo.captions.prompts import choose, fill, to_send
from pargo.captions.samples import Caption, CaptionEngine, Failure, Result, Sample, failure, read_image
from pargo.config.engines.openai import OpenAIEngine, Picture
from pargo.errors import PargoError
from pargo.remote.client import ChatClient, Refused, Reply, Unavailable
from pargo.remote.threads import in_threads

# why a model may stop and have said something; `length`: it was cut off, which the filter drops
FINISHED = (None, "stop", "length", "eos", "eos_token", "stop_sequence")
PLAIN = Image.new("RGB", (64, 64), "white")  # nothing that a server may hold against it
MAX_REFUSALS = 10  # in a row, before the plain picture is asked about again
FIRST_WAIT = 0.5  # seconds before the second try; doubled each time, with as much again at random


class Engine(CaptionEngine[OpenAIEngine]):
    """Many requests at a time; tries an image again when the server is busy, fails or says nothing of sense.

    Whether an image or the server is at fault, a plain picture of our own tells: it is asked about before the first
    refusal counts as the image's own, after many refusals in a row, and while the server answers nobody.

    Raises:
        PargoError: no key in the environment, or a prompt that is not known.
    """

    def __init__(self, settings: OpenAIEngine) -> None:
        super().__init__(settings)
        choose(settings.prompts.variants, "")
        self._client = ChatClient(settings, "caption server")
        self._asking = threading.Lock()
        self._trusted = 0  # refusals that count as the images' own until a reply comes
        self._breaker = Breaker(max(20, 2 * settings.num_threads), settings.max_wait, settings.max_outage)

    @classmethod
    def request(cls, settings: OpenAIEngine, name: str, record: Mapping[str, Any]) -> object:
        return to_send(settings.prompts, name, record)

    def caption(self, samples: Iterable[Sample]) -> Iterator[Result]:
        return in_threads(self._one, samples, self.settings.num_threads)

    def _one(self, sample: Sample) -> Result:
        settings = self.settings
        prompt, text = to_send(settings.prompts, sample.id, sample.record)
        try:
            image = read_image(sample)
        except PargoError as error:
            return failure(sample, error)
        url = data_url(image, settings.picture)
        tries = 0
        while tries < settings.max_tries:
            if self._breaker.enter():
                self._ask_about_plain_picture(prompt)
                continue
            try:
                reply = self._ask(url, text)
                self._trusted = MAX_REFUSALS
            except Refused as error:
                if self._is_the_images_own(prompt):
                    self._breaker.succeeded()
                    return Failure(sample.id, f"refused: {error}", "permanent")
            except Unavailable as error:
                own, problem = self._breaker.failed(probe=False), error
                tries += own
                if own and tries < settings.max_tries:
                    time.sleep(self._wait(tries, error.retry_after))
            else:
                self._breaker.succeeded()
                return self._result(sample, prompt, reply)
        return Failure(sample.id, f"{problem} ({tries} tries)", "unavailable")

    def _ask(self, url: str, text: str) -> Reply:
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
        return self._client.ask([{"role": "user", "content": parts}], **self.settings.sampling.model_dump())

    def _is_the_images_own(self, prompt: str) -> bool:
        """Whether a refusal is, not the server's; False when nobody knows."""
        with self._asking:
            if self._trusted <= 0 and not self._ask_about_plain_picture(prompt):
                return False
            self._trusted -= 1
            return True

    def _ask_about_plain_picture(self, prompt: str) -> bool:
        """Whether the server says something of a white picture.

        Raises:
            PargoError: it refuses that as well, so it would refuse everything.
        """
        try:
            self._ask(data_url(PLAIN, self.settings.picture), fill(prompt, None))
        except Unavailable:
            self._breaker.failed(probe=True)
            return False
        except (Refused, PargoError) as error:
            self._breaker.succeeded()  # nobody needs to wait for it any longer
            if isinstance(error, PargoError):
                raise
            raise PargoError(f"{self._client} refuses every picture, even a plain white one: {error}") from None
        self._trusted = MAX_REFUSALS
        self._breaker.succeeded()
        return True

    def _wait(self, tries: int, retry_after: float | None) -> float:
        if retry_after is not None:  # the server knows best
            return min(retry_after * random.uniform(1, 1.2), self.settings.max_outage)
        return min(FIRST_WAIT * 2 ** (tries - 1) * random.uniform(1, 2), self.settings.max_wait)

    def _result(self, sample: Sample, prompt: str, reply: Reply) -> Result:
        text = reply.content.strip()
        if reply.finish_reason not in FINISHED:
            return Failure(sample.id, f"finish reason {reply.finish_reason[:40]}", "permanent")
        if not text:
            why = ": nothing but thoughts; raise sampling.max_tokens, or turn them off" if reply.only_thoughts else ""
            return Failure(sample.id, f"empty reply{why}", "permanent")
        return Caption(
            id=sample.id,
            caption=text,
            model=reply.model,
            revision=self.settings.revision or None,
            prompt=prompt,
            sampling=self.settings.sampling.model_dump(exclude_none=True),
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def data_url(image: Image.Image, picture: Picture) -> str:
    """The image as a JPEG in a data URI, no side longer than `picture.max_side`."""
    image = image.copy()
    image.thumbnail((picture.max_side, picture.max_side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=picture.quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
