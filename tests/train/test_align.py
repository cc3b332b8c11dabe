"""Alignment: projectors learn which words the captions have, all alike, the same in every run, and once."""

from __future__ import annotations

import json
import math
import signal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file

from pargo.config.projectors import PROJECTORS
from pargo.config.training import Alignment, Pretrain
from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded
from pargo.train.align import SHARPNESS, Words, align, words_of
from tests.helpers.model_builders import FEATURE_SIZE, NUM_PATCHES, OUTPUT_SIZE, projector
from tests.helpers.projector_cases import CASES
from tests.helpers.training_processes import finish, job, start, train

WORDS, TEMPLATE = 6, (90, 91)  # a word of its own for each kind of patch; two tokens that all captions have
SETTINGS = Alignment(num_samples=2400, batch_size=16, learning_rate=1e-2)


class Captions:
    """Images of two kinds of patch, and captions that name both after two words that all captions have."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        self.bad = bad
        generator = torch.Generator().manual_seed(0)
        self.kinds = torch.randn(WORDS, FEATURE_SIZE, generator=generator)

    def drawn(self, index: int) -> list[int]:
        generator = torch.Generator().manual_seed(index)
        return torch.randperm(WORDS, generator=generator)[:2].tolist()

    def text(self, index: int) -> Encoded:
        ids = (*TEMPLATE, *self.drawn(index))
        return Encoded((IMAGE, *ids), (IGNORE_INDEX, *ids))

    def image(self, index: int) -> torch.Tensor | None:
        if index in self.bad:
            return None
        first, second = self.drawn(index)
        half = NUM_PATCHES // 2
        return self.kinds[[first] * half + [second] * (NUM_PATCHES - half)].clone()


def embeddings() -> torch.Tensor:
    return torch.randn(100, OUTPUT_SIZE, generator=torch.Generator().manual_seed(1)) + 1.0


def right_words(built, data: Captions) -> float:
    """Share of images, none of them trained on, whose two nearest words are those of the caption."""
    indices = range(10_000, 10_100)
    with torch.inference_mode():
        tokens = built(torch.stack([data.image(index) for index in indices]))
    nearest = Words(embeddings()[:WORDS])(tokens).topk(2).indices.tolist()
    return sum(set(found) == set(data.drawn(index)) for found, index in zip(nearest, indices, strict=True)) / 100


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_projector_learns_the_words(name):
    data, built = Captions(), projector(CASES[name][0], std=0.1)
    before = right_words(built, data)
    align(built, embeddings(), data, SETTINGS, lambda line: None)
    assert right_words(built, data) > max(0.9, before)
    assert not any(parameter.grad is not None for parameter in built.parameters())


def test_every_projector_is_tried():
    assert {CASES[name][0].name for name in CASES} == set(PROJECTORS.names)


def test_it_is_the_same_every_time_and_leaves_the_frozen_norm_alone():
    runs = []
    for _ in range(2):
        built, lines = projector(CASES["pargo-cascade"][0]), []
        norm = {name: tensor.clone() for name, tensor in built.input_norm.state_dict().items()}
        align(built, embeddings(), Captions(), SETTINGS, lines.append)
        assert all(torch.equal(tensor, norm[name]) for name, tensor in built.input_norm.state_dict().items())
        runs.append((built.state_dict(), lines))
    (first, lines), (second, again) = runs
    assert lines == again
    assert lines[0] == "alignment: 2,400 samples in 150 steps, 8 words"
    assert lines[-1].startswith("alignment: step 150 of 150, loss ")
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_images_that_cannot_be_read_are_left_out():
    steps = Alignment(num_samples=32, batch_size=16)
    built, data = projector(CASES["linear"][0]), Captions(bad=(*range(16), 20))
    align(built, embeddings(), data, steps, lambda line: None)
    assert all(parameter.isfinite().all() for parameter in built.parameters())


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(0, 9))
def test_the_words_of_a_caption_are_what_is_supervised(ids, question):
    text = Encoded((IMAGE, question, *ids), (IGNORE_INDEX, IGNORE_INDEX, *ids))
    assert words_of(text) == frozenset(ids)


def test_a_word_is_as_likely_as_the_token_nearest_to_it():
    known, tokens = embeddings()[:3], torch.randn(2, 5, OUTPUT_SIZE, generator=torch.Generator().manual_seed(2))
    words = Words(known)
    center = known.mean(0)
    for image, logits in zip(tokens, words(tokens).tolist(), strict=True):
        for word, logit, bias in zip(known, logits, words.bias.tolist(), strict=True):
            similarities = [torch.cosine_similarity(token - center, word - center, dim=0).item() for token in image]
            soft = math.log(sum(math.exp(SHARPNESS * value) for value in similarities)) / SHARPNESS
            assert logit == pytest.approx(words.scale.item() * soft + bias, abs=1e-4)
            assert soft >= max(similarities)


ALIGNMENT = {"num_samples": 32, "batch_size": 8}


def test_a_training_that_goes_on_is_not_aligned_again(world, tmp_path, capfd):
    whole = train(*job(world, tmp_path / "whole", alignment=ALIGNMENT, checkpoint_interval=1))
    assert "alignment: 32 samples in 4 steps" in capfd.readouterr().out
    assert finish(start([job(world, tmp_path, alignment=ALIGNMENT, checkpoint_interval=1)], kill_after=3)) == [
        -signal.SIGKILL
    ]
    capfd.readouterr()
    assert train(*job(world, tmp_path, alignment=ALIGNMENT, checkpoint_interval=1)) == whole
    said = capfd.readouterr().out
    assert "resuming after step" in said
    assert "alignment" not in said
    out = [tmp_path / place / "out/model.safetensors" for place in ("whole", ".")]
    assert out[0].read_bytes() == out[1].read_bytes()
    assert train(*job(world, tmp_path / "without"))[0]["loss"] != whole[0]["loss"]


def test_samples_fill_the_batches():
    with pytest.raises(ValidationError, match="num_samples 40 is not a multiple of batch_size 16"):
        Alignment(num_samples=40)


def test_it_reads_stored_features():
    base = {"mixture": {"a": 1.0}, "num_samples": 8, "batch_size": 4, "micro_batch_size": 4, "learning_rate": 1e-3}
    with pytest.raises(ValidationError, match="alignment: reads stored features, and features is 'in_loop'"):
        Pretrain(**base, features="in_loop", alignment=Alignment(num_samples=16))


def test_whitening_is_measured_once_and_goes_along(world, tmp_path, capfd):
    """Fitted before the first step, kept by a training that goes on, and by fine-tuning."""

    def whitened(*given):
        stage, settings, arguments = given
        data = json.loads(settings)
        data["vision"]["whiten"] = True
        return stage, json.dumps(data), arguments

    def white(folder):
        state = load_file(folder / "out/model.safetensors")
        return state["projector.whitening.mean"], state["projector.whitening.matrix"]

    train(*whitened(*job(world, tmp_path / "whole", checkpoint_interval=1)))
    assert finish(start([whitened(*job(world, tmp_path, checkpoint_interval=1))], kill_after=3)) == [-signal.SIGKILL]
    train(*whitened(*job(world, tmp_path, checkpoint_interval=1)))
    assert (tmp_path / "out/model.safetensors").read_bytes() == (tmp_path / "whole/out/model.safetensors").read_bytes()
    mean, matrix = white(tmp_path)
    assert not torch.allclose(matrix, torch.eye(len(matrix)), atol=0.05)
    stage, settings, arguments = whitened(*job(world, tmp_path / "tuned", "finetune"))
    train(stage, settings, arguments | {"pretrained": tmp_path / "out"})
    assert all(torch.equal(*pair) for pair in zip((mean, matrix), white(tmp_path / "tuned"), strict=True))
