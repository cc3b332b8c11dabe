"""The warm-up of a language model on text: what it reads, what it trains, that it goes on, and who starts from it."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from pargo.config.base import canonical_json
from pargo.config.layers import language_in_words
from pargo.config.models import Language
from pargo.config.warm_up import WarmUp
from pargo.data.annotations import describe
from pargo.data.pieces import text_tokenizer
from pargo.data.shards import ShardWriter
from pargo.data.template import IMAGE, encode_caption, encode_conversation
from pargo.errors import InputError, PargoError
from pargo.manifest import publish, verify
from pargo.models.language import load_language_model, load_tokenizer
from pargo.sources.random_models import write_random_language
from pargo.train import warm_up
from pargo.train.details import DetailEmbeddings, details_in
from pargo.train.warm_up import DescribedTexts, WarmUpSettings

CONTEXT = multiprocessing.get_context("forkserver")
SHAPES, COLORS = ("circle", "square", "star"), ("red", "green", "blue")
PLACES = ("top left", "top right", "bottom left")
TURNS = 4


def record(number: int) -> dict:
    """Three objects and a word, and questions about them."""
    objects = [
        {"shape": shape, "color": COLORS[(number + place) % 3], "cell": PLACES[(2 * number + place) % 3]}
        for place, shape in enumerate(SHAPES)
    ]
    turns = [[f"Is there a {item['color']} {item['shape']}?", "yes"] for item in objects] + [["How many?", "three"]]
    word = {"text": "cat", "cell": "bottom right"}
    return {"id": f"{number:04d}", "objects": objects, "word": word, "conversation": turns}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("warm_up")
    with publish(root / "language", settings={}) as directory:
        write_random_language(directory, hidden_size=32, num_layers=3, num_heads=2, seed=0)
    with publish(root / "scenes", settings={}) as directory, ShardWriter(directory / "train") as writer:
        for number in range(12):
            writer.write(b"png", record(number))
    with publish(root / "plain", settings={}) as directory, ShardWriter(directory / "train") as writer:
        writer.write(b"png", {"id": "0", "conversation": [["Is it?", "yes"]]})
    return {name: root / name for name in ("language", "scenes", "plain")}


def settings(layers: tuple[int, ...] | None = (0, 2), **changes) -> str:
    warm = {"mixture": {"scenes": 1.0}, "num_samples": 320, "batch_size": 4, "learning_rate": 3e-2, "num_threads": 1}
    language = {"source": "l", "precision": "fp32", "layers": layers, "warm_up": {**warm, **changes}}
    return canonical_json({"language": language, "sources": {"scenes": "s"}, "splits": {"scenes": "train"}})


def run(places, root: Path, text: str | None = None, source: str = "scenes") -> Path:
    given = WarmUpSettings.model_validate_json(text or settings())
    warm_up.run(given, places["language"], {"scenes": places[source]}, root / "out", root / "run")
    return root / "out"


@pytest.fixture(scope="module")
def made(places, tmp_path_factory) -> Path:
    return run(places, tmp_path_factory.mktemp("made"))


def losses(directory: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (directory / "metrics.jsonl").read_text().splitlines()]


def texts(places, seed=0, **changes) -> DescribedTexts:
    train = WarmUpSettings.model_validate_json(settings(**changes)).language.warm_up
    return DescribedTexts(places["scenes"] / "train", load_tokenizer(places["language"]), train, seed)


# What is read ---------------------------------------------------------------------------------------------------------


def decode(places, ids) -> str:
    return load_tokenizer(places["language"]).decode([number for number in ids if number != IMAGE])


def test_every_detail_stands_in_place_of_the_image_and_the_text_is_as_in_training(places):
    tokenizer, seen = load_tokenizer(places["language"]), set()
    for epoch in range(20):
        details, text = texts(places, num_image_tokens=7).encode("0003", epoch, captions=1.0)
        assert text == encode_caption(tokenizer, describe(record(3)))
        assert len(details) == 7
        assert set(details) == set(details_in(describe(record(3))))
        seen.add(tuple(details))
    assert len(seen) > 5  # others twice, and in another order, every time


def test_conversations_are_shuffled_and_cut(places):
    tokenizer, firsts = load_tokenizer(places["language"]), set()
    known = {(question, answer) for question, answer in record(5)["conversation"]}
    for epoch in range(20):
        _, text = texts(places, max_turns=2).encode("0005", epoch, captions=0.0)
        said = decode(places, text.input_ids).strip("\n").split("\n")
        assert len(said) == 2
        turns = [next(turn for turn in known if " ".join(turn) == line) for line in said]
        assert text == encode_conversation(tokenizer, turns)
        firsts.add(turns[0])
    assert len(firsts) == TURNS


def test_a_sample_is_decided_by_seed_sample_and_epoch(places):
    first, again, other = (texts(places, seed=seed) for seed in (0, 0, 1))
    drawn = [(name, epoch) for name in ("0001", "0002") for epoch in range(8)]
    assert [first.encode(*of, 0.5) for of in drawn] == [again.encode(*of, 0.5) for of in reversed(drawn)][::-1]
    assert [first.encode(*of, 0.5) for of in drawn] != [other.encode(*of, 0.5) for of in drawn]


def test_what_stands_for_an_image_is_near_its_details_and_other_every_time(places):
    model = load_language_model(Language(source="l", precision="fp32"), places["language"])
    embeddings = model.get_input_embeddings().weight
    train = WarmUpSettings.model_validate_json(settings(num_image_tokens=6, captions=1.0)).language.warm_up
    dataset, tokenizer = texts(places, num_image_tokens=6), load_tokenizer(places["language"])
    order = warm_up._Order({"scenes": dataset}, train, tokenizer, embeddings)
    known = sorted({detail for details in dataset.details.values() for detail in details})
    vectors = DetailEmbeddings(embeddings, {detail: text_tokenizer(tokenizer).plain(f" {detail}") for detail in known})
    shown = []
    for index in range(24):  # two epochs
        batch = order.batch([index])
        assert (batch.input_ids == IMAGE).sum() == 6
        nearest = vectors.distances(batch.images).argmin(2).flatten().tolist()
        number = int(order.names([index])[0].rpartition("/")[2])
        assert {known[place] for place in nearest} == set(details_in(describe(record(number))))
        shown.append(batch.images)
    assert len({images.sum().item() for images in shown}) == 24
    assert torch.equal(order.batch([3]).images, shown[3])


@pytest.mark.parametrize("captions", [0.0, 0.2, 1.0])
def test_captions_have_their_share(places, captions):
    found = texts(places)
    shown = [decode(places, found.encode("0001", epoch, captions)[1].input_ids) for epoch in range(300)]
    assert sum("three shapes:" in text for text in shown) / 300 == pytest.approx(captions, abs=0.07)


@given(st.floats(0, 1))
def test_captions_come_first(share):
    train = WarmUp(mixture={"a": 1.0}, num_samples=8, batch_size=4, captions=share)
    shares = [train.captions_at(number / 100) for number in range(101)]
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in shares)
    assert sorted(shares, reverse=True) == shares
    assert sum(shares) / 101 == pytest.approx(share)
    assert shares[0] == pytest.approx(min(1.0, 2 * share))


def test_samples_of_which_nothing_is_known_are_left_out(tmp_path, places):
    nothing = {
        "id": "dark",
        "objects": [{"shape": None, "color": None}],
        "word": None,
        "conversation": [["Is it?", "no"]],
    }
    with ShardWriter(tmp_path / "train") as writer:
        for item in (record(0), nothing, record(2)):
            writer.write(b"png", item)
    found = texts({**places, "scenes": tmp_path})
    assert found.ids == ["0000", "0002"]
    assert found.details["dark"] == []


# What is trained ------------------------------------------------------------------------------------------------------


def test_it_learns_and_leaves_a_language_model_of_its_own(places, made):
    found = losses(made)
    assert len(found) == 80
    assert sum(found[-20:]) < 0.9 * sum(found[:20])
    verify(made)
    model = load_language_model(Language.model_validate_json(_language()), made)
    assert model.config.num_hidden_layers == 2
    assert (
        load_tokenizer(made)("red square")["input_ids"] == load_tokenizer(places["language"])("red square")["input_ids"]
    )


def _language() -> str:
    return json.dumps(json.loads(settings())["language"])


def test_all_layers_are_trained_but_neither_embeddings_nor_the_output_layer(places, made):
    before = load_file(places["language"] / "model.safetensors")
    after = load_file(made / "model.safetensors")
    names = {name: name.replace("layers.1.", "layers.2.") for name in after}  # of layers 0 and 2
    same = {name for name, old in names.items() if torch.equal(after[name], before[old])}
    assert {name for name in after if "embed" in name or "lm_head" in name} == same
    assert any("norm" in name for name in after.keys() - same)


def test_two_runs_give_the_same_bytes(places, made, tmp_path):
    again = run(places, tmp_path)
    for name in ("model.safetensors", "metrics.jsonl", "config.json"):
        assert (made / name).read_bytes() == (again / name).read_bytes()


def test_names_of_datasets_decide_nothing(places, made, tmp_path):
    text = settings().replace('"scenes"', '"pictures"')
    warm_up.run(
        WarmUpSettings.model_validate_json(text),
        places["language"],
        {"pictures": places["scenes"]},
        tmp_path / "out",
        tmp_path / "run",
    )
    assert (tmp_path / "out/model.safetensors").read_bytes() == (made / "model.safetensors").read_bytes()


# Interrupted ----------------------------------------------------------------------------------------------------------


def _interrupted(places, root: Path, sent: signal.Signals, text: str | None = None) -> None:
    train, calls = warm_up._loss, []

    def loss(*parts):
        calls.append(1)
        if len(calls) == 50:
            os.kill(os.getpid(), sent)
        return train(*parts)

    warm_up._loss = loss
    warm_up.CHECKPOINT_INTERVAL = 20
    run(places, root, text)


@pytest.mark.parametrize(("sent", "after"), [(signal.SIGKILL, 40), (signal.SIGTERM, 50), (signal.SIGINT, 50)])
def test_it_goes_on_where_it_was_and_gives_the_same_bytes(places, made, tmp_path, capfd, sent, after):
    process = CONTEXT.Process(target=_interrupted, args=(places, tmp_path, sent))
    process.start()
    process.join(600)
    assert process.exitcode == (-sent if sent == signal.SIGKILL else 1)
    assert not (tmp_path / "out").exists()
    capfd.readouterr()
    again = run(places, tmp_path)
    assert f"resuming after step {after}" in capfd.readouterr().out
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (made / name).read_bytes() == (again / name).read_bytes()
    assert not (tmp_path / "run/checkpoints").exists()


def test_dropout_goes_on_where_it_was(places, tmp_path_factory):
    """Of a model that has some, which a resumed run must not draw from the start."""
    language = tmp_path_factory.mktemp("dropout") / "language"
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=2,
        attention_dropout=0.5,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with publish(language, settings={}) as directory:
        LlamaForCausalLM(config).save_pretrained(directory)
        load_tokenizer(places["language"]).save_pretrained(directory)
    own = {**places, "language": language}
    whole = run(own, tmp_path_factory.mktemp("whole"))
    root = tmp_path_factory.mktemp("killed")
    process = CONTEXT.Process(target=_interrupted, args=(own, root, signal.SIGKILL))
    process.start()
    process.join(600)
    assert process.exitcode == -signal.SIGKILL
    assert (run(own, root) / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_a_checkpoint_of_other_settings_is_not_used(places, tmp_path, capfd):
    process = CONTEXT.Process(target=_interrupted, args=(places, tmp_path, signal.SIGKILL))
    process.start()
    process.join(600)
    run(places, tmp_path, settings(learning_rate=1e-3, num_samples=40))
    assert "belongs to other settings" in capfd.readouterr().out


# What is wrong --------------------------------------------------------------------------------------------------------


def test_a_source_without_annotations(places, tmp_path):
    with pytest.raises(InputError, match=r"plain/train: sample '0' has no annotations or no conversation"):
        run(places, tmp_path, source="plain")
    assert not (tmp_path / "out").exists()


def test_more_details_than_can_stand_for_an_image(places, tmp_path):
    with pytest.raises(InputError, match=r"sample '0000' has 5 details, .*num_image_tokens: 4"):
        run(places, tmp_path, settings(num_image_tokens=4))
    assert not (tmp_path / "out").exists()


def test_settings_without_a_warm_up(places, tmp_path):
    text = settings().replace('"warm_up":', '"warm_up":null,"x":')
    data = json.loads(text)
    data["language"].pop("x")
    with pytest.raises(InputError, match=r"language\.warm_up: required"):
        run(places, tmp_path, json.dumps(data))


def test_one_that_diverges_says_where(places, tmp_path):
    with pytest.raises(
        PargoError, match=r"step \d+: loss \S+, gradient norm \S+; diverged, or a bad sample; samples: scenes/\d+"
    ):
        run(places, tmp_path, settings(learning_rate=1e30))


def test_samples_fill_the_batches():
    with pytest.raises(ValueError, match="num_samples 322 is not a multiple of batch_size 4"):
        WarmUpSettings.model_validate_json(settings(num_samples=322))


def test_another_language_model_in_its_place_is_refused(places):
    language = Language.model_validate_json(_language())
    with pytest.raises(InputError, match="has 3 layers, and not the 2 that are left by the warm-up"):
        load_language_model(language, places["language"])


def test_words_for_it():
    language = Language.model_validate_json(_language())
    assert language_in_words(language) == "l (cut to its layers 0, 2, warmed up on text)"


def test_a_cut_vocabulary_holds_what_the_texts_have(places, tmp_path, capfd):
    out = run(places, tmp_path, settings(vocabulary="texts", num_samples=40))
    said = re.search(r"vocabulary: (\d+) tokens, of (\d+)", capfd.readouterr().out)
    kept, before = int(said[1]), int(said[2])
    assert json.loads((out / "config.json").read_text())["vocab_size"] == kept <= before
    old, new = load_tokenizer(places["language"]), load_tokenizer(out)
    assert len(new) == kept
    for text in texts(places).texts():
        assert old.tokenize(text) == new.tokenize(text)
    whole = run(places, tmp_path / "whole", settings(num_samples=40))
    # over fewer tokens a right one is likelier
    assert losses(out)[0] <= losses(whole)[0]
