"""Alignment: projectors learn which details the captions have, all alike, the same in every run, and once."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file

from pargo.config.projectors import PROJECTORS
from pargo.config.training import Alignment, Pretrain
from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded, encode_caption
from pargo.errors import PargoError
from pargo.train.align import MARGIN, PULL, SCALE, SHARPNESS, Detector, align, caption_of
from pargo.train.details import DetailEmbeddings, details_in
from tests.helpers.model_builders import FEATURE_SIZE, NUM_PATCHES, OUTPUT_SIZE, projector
from tests.helpers.projector_cases import CASES
from tests.helpers.tiny_tokenizers import family
from tests.helpers.training_processes import finish, job, start, train

TOKENIZER = family("smollm2")
DETAILS = ["red cat", "blue dog", "my owl", "hot sun", "new key", "jam"]  # each a kind of patch
SETTINGS = Alignment(num_samples=2400, batch_size=16, learning_rate=1e-2)


class Captions:
    """Images of two kinds of patch, and captions that name both after a sentence that all captions have."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        self.bad = bad
        generator = torch.Generator().manual_seed(0)
        self.kinds = torch.randn(len(DETAILS), FEATURE_SIZE, generator=generator)

    def drawn(self, index: int) -> list[int]:
        generator = torch.Generator().manual_seed(index)
        return torch.randperm(len(DETAILS), generator=generator)[:2].tolist()

    def text(self, index: int) -> Encoded:
        said = ", ".join(DETAILS[kind] for kind in self.drawn(index))
        return encode_caption(TOKENIZER, f"Two things: {said}.")

    def image(self, index: int) -> torch.Tensor | None:
        if index in self.bad:
            return None
        first, second = self.drawn(index)
        half = NUM_PATCHES // 2
        return self.kinds[[first] * half + [second] * (NUM_PATCHES - half)].clone()


def embeddings() -> torch.Tensor:
    """About as large as the tokens of a new projector, as `scale_output` makes them."""
    return 0.3 * (torch.randn(len(TOKENIZER), OUTPUT_SIZE, generator=torch.Generator().manual_seed(1)) + 1.0)


def vectors(details: Sequence[str] = DETAILS) -> DetailEmbeddings:
    return DetailEmbeddings(embeddings(), {detail: TOKENIZER(f" {detail}")["input_ids"] for detail in details})


def right_details(built, data: Captions) -> float:
    """Share of images, none of them trained on, whose two nearest details are those of the caption."""
    indices = range(10_000, 10_100)
    with torch.inference_mode():
        tokens = built(torch.stack([data.image(index) for index in indices]))
    nearest = vectors().distances(tokens).amin(1).topk(2, largest=False).indices.tolist()
    return sum(set(found) == set(data.drawn(index)) for found, index in zip(nearest, indices, strict=True)) / 100


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_projector_learns_the_details(name):
    data, built = Captions(), projector(CASES[name][0], std=0.1)
    before = right_details(built, data)
    align(built, TOKENIZER, embeddings(), data, SETTINGS, lambda line: None)
    assert right_details(built, data) > max(0.9, before)
    assert not any(parameter.grad is not None for parameter in built.parameters())


def test_every_projector_is_tried():
    assert {CASES[name][0].name for name in CASES} == set(PROJECTORS.names)


def test_it_is_the_same_every_time_and_leaves_the_frozen_norm_alone():
    runs = []
    for _ in range(2):
        built, lines = projector(CASES["pargo-cascade"][0]), []
        norm = {name: tensor.clone() for name, tensor in built.input_norm.state_dict().items()}
        align(built, TOKENIZER, embeddings(), Captions(), SETTINGS, lines.append)
        assert all(torch.equal(tensor, norm[name]) for name, tensor in built.input_norm.state_dict().items())
        runs.append((built.state_dict(), lines))
    (first, lines), (second, again) = runs
    assert lines == again
    assert lines[0] == "alignment: 2,400 samples in 150 steps, 7 details"
    assert lines[-1].startswith("alignment: step 150 of 150, loss ")
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_images_that_cannot_be_read_are_left_out():
    steps = Alignment(num_samples=32, batch_size=16)
    built, data = projector(CASES["linear"][0]), Captions(bad=(*range(16), 20))
    align(built, TOKENIZER, embeddings(), data, steps, lambda line: None)
    assert all(parameter.isfinite().all() for parameter in built.parameters())


class Silent(Captions):
    """Captions of punctuation marks, from one on; the first says something, or no one does."""

    def __init__(self, first: str) -> None:
        super().__init__()
        self.first = first

    def text(self, index: int) -> Encoded:
        return encode_caption(TOKENIZER, self.first if index == 0 else ". .")


def test_captions_that_say_nothing_are_left_out():
    steps, built = Alignment(num_samples=32, batch_size=16), projector(CASES["linear"][0])
    align(built, TOKENIZER, embeddings(), Silent("red cat."), steps, lambda line: None)
    assert all(parameter.isfinite().all() for parameter in built.parameters())
    with pytest.raises(PargoError, match="none of the captions has words"):
        align(built, TOKENIZER, embeddings(), Silent("."), steps, lambda line: None)


@given(st.lists(st.sampled_from(["red cat", "a 2.5 m dog", "owl", "it's"]), min_size=1), st.sampled_from(".,:;!?"))
def test_details_stand_between_punctuation_marks(details, mark):
    assert details_in(f"{mark} ".join(details) + mark) == details
    assert details_in(f"{mark} ".join(details)) == details


@pytest.mark.parametrize("caption", ["", " ", ".", ". , !", "\n"])
def test_marks_alone_are_no_details(caption):
    assert details_in(caption) == []


def test_a_caption_is_what_is_supervised():
    ids = TOKENIZER(" red cat .")["input_ids"]
    text = Encoded((IMAGE, 0, *ids), (IGNORE_INDEX, IGNORE_INDEX, *ids))
    assert details_in(caption_of(TOKENIZER, text)) == ["red cat"]


def test_a_detail_is_the_sum_of_its_words_without_what_all_have_in_common():
    table = embeddings()
    found = DetailEmbeddings(table, {"red cat": [1, 3], "blue cat": [2, 3], "cat": [3]})
    common = table[[1, 2, 3]].mean(0)
    for vector, words in zip(found.vectors, ([1, 3], [2, 3], [3]), strict=True):
        assert torch.allclose(vector, common + sum(table[word] - common for word in words), atol=1e-5)
    assert found.distances(common[None, None]).mean().item() == pytest.approx(1.0, rel=1e-4)
    assert torch.allclose(found.distances(found.vectors[None])[0].diagonal(), torch.zeros(3), atol=1e-4)


def test_a_detail_is_as_likely_as_the_token_nearest_to_it():
    tokens = torch.randn(2, 5, OUTPUT_SIZE, generator=torch.Generator().manual_seed(2))
    found, detector = vectors(), Detector(vectors())
    logits, distances = detector(tokens)
    assert torch.equal(distances, found.distances(tokens))
    for image, row in zip(tokens, logits.tolist(), strict=True):
        for vector, logit in zip(found.vectors, row, strict=True):
            squares = [(token - vector).square().sum().item() / found.scale for token in image]
            soft = -math.log(sum(math.exp(-SHARPNESS * value) for value in squares)) / SHARPNESS
            assert logit == pytest.approx(SCALE * (MARGIN - soft), abs=1e-3)
            assert soft <= min(squares)


def test_tokens_are_pulled_to_what_is_there_alone():
    found, detector = vectors(), Detector(vectors())
    there = torch.zeros(1, len(DETAILS))
    there[0, 2] = 1.0
    tokens = found.vectors[[2, 4]][None]  # one that is there, one that is not
    plain = torch.nn.functional.binary_cross_entropy_with_logits(detector(tokens)[0], there)
    away = found.distances(tokens)[0, 1, 2]
    assert detector.loss(tokens, there).item() == pytest.approx((plain + PULL * away / 2).item(), abs=1e-4)


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
