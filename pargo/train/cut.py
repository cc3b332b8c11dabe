"""What `max_length` cuts off: told before a training from samples that are drawn early, counted in every step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pargo.config.training import Train
from pargo.data.template import Encoded
from pargo.errors import PargoError
from pargo.train.batch import length, num_supervised, truncate

if TYPE_CHECKING:
    from pargo.train.data import TrainingData

LOOKED_AT = 500  # samples of each dataset, to tell what share is cut
DRAWS = 100_000  # most draws to find them among


class Cut(NamedTuple):
    """Counts of drawn samples, whether their images are bad or not.

    Attributes:
        samples: all of them.
        cut: those longer than `max_length`.
        supervised: tokens that count in the loss where nothing is cut.
        lost: of these the ones that were cut off.
        unanswered: samples that lost all of theirs.
    """

    samples: int = 0
    cut: int = 0
    supervised: int = 0
    lost: int = 0
    unanswered: int = 0

    def plus(self, other: Cut) -> Cut:
        """The sum of two counts, field by field."""
        return Cut(*(a + b for a, b in zip(self, other, strict=True)))


def shorten(text: Encoded, max_length: int | None, num_image_tokens: int) -> tuple[Encoded, Cut]:
    """The text as it is trained on, and what was cut off."""
    before = num_supervised(text)
    if max_length is None or length(text, num_image_tokens) <= max_length:
        return text, Cut(1, supervised=before)
    short = truncate(text, max_length, num_image_tokens)
    after = num_supervised(short)
    return short, Cut(1, 1, before, before - after, int(before > 0 and not after))


def add_up(parts: Iterable[Mapping[str, Cut]]) -> dict[str, Cut]:
    """Sums by dataset, sorted by its name."""
    sums: dict[str, Cut] = {}
    for part in parts:
        for name, cut in part.items():
            sums[name] = sums.get(name, Cut()).plus(cut)
    return dict(sorted(sums.items()))


def of_metrics(metrics: Iterable[str]) -> dict[str, Cut]:
    """Sums over the lines of `metrics.jsonl`; empty without `max_length`."""
    rows = (json.loads(line).get("cut", {}) for line in metrics)
    return add_up({name: Cut(**counts) for name, counts in row.items()} for row in rows)


def estimate(data: TrainingData, train: Train, num_image_tokens: int) -> dict[str, Cut]:
    """What `max_length` cuts, by dataset, of the first samples that the training draws of each, at most `LOOKED_AT`."""
    sums = dict.fromkeys(sorted(data.weights), Cut())
    left = set(sums)
    for index in range(min(train.num_samples, DRAWS)):
        if not left:
            break
        name = data.dataset(index)
        if name in left:
            sums[name] = sums[name].plus(shorten(data.text(index), train.max_length, num_image_tokens)[1])
            if sums[name].samples == LOOKED_AT:
                left.remove(name)
    return sums


def check_room(data: TrainingData, train: Train, num_image_tokens: int, num_steps: int = 8) -> None:
    """Make sure, before anything heavy, that answers are left in the first steps.

    Raises:
        PargoError: there is none.
    """
    if train.max_length is None:
        return
    if train.max_length <= num_image_tokens:
        raise PargoError(
            f"max_length {train.max_length} holds no answer: an image takes {num_image_tokens} tokens; raise it"
        )
    for index in range(min(num_steps * train.batch_size, train.num_samples)):
        if num_supervised(truncate(data.text(index), train.max_length, num_image_tokens)):
            return
    raise PargoError(f"no supervised token within max_length {train.max_length} in the first steps; raise it")


def lines(cuts: Mapping[str, Cut], max_length: int, looked_at: str) -> Iterator[str]:
    """What was cut, a line for each dataset of which something was, or one that nothing was.

    Args:
        cuts: by dataset.
        max_length: of the training.
        looked_at: of which samples, e.g. `all`.
    """
    touched = {name: cut for name, cut in cuts.items() if cut.cut}
    for name, cut in touched.items():
        yield (
            f"max_length {max_length:,} cuts {cut.cut:,} of {looked_at} {cut.samples:,} samples of {name} "
            f"({cut.cut / cut.samples:.1%}), {cut.lost / max(cut.supervised, 1):.1%} of their supervised tokens; "
            f"{cut.unanswered:,} left without an answer"
        )
    if not touched:
        number = sum(cut.samples for cut in cuts.values())
        yield f"max_length {max_length:,} cuts none of {looked_at} {number:,} samples"
