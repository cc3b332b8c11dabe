"""Texts stay in their files: the same samples in the same order, in every kind of process; damage is named."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pargo.config.training import Pretrain
from pargo.data.feature_store import FeatureStore, write_features
from pargo.data.shard_index import Ids
from pargo.data.shards import Shards, ShardWriter
from pargo.data.template import encode_caption, encode_conversation
from pargo.errors import InputError, PargoError
from pargo.sources.random_models import byte_tokenizer
from pargo.train.data import Steps, TrainingData
from pargo.train.texts import CaptionDataset, ConversationDataset

TURNS = {f"{number:03d}": [[f"Is it {number}?", "yes"], ["And é?", "no"]][: number % 3] for number in range(20)}


@pytest.fixture
def conversations(tmp_path) -> Path:
    """Every third one is empty."""
    with ShardWriter(tmp_path / "train", 7) as writer:
        for name, turns in TURNS.items():
            writer.write(b"image", {"id": name, "conversation": turns})
    return tmp_path / "train"


@pytest.fixture
def captions(tmp_path) -> Path:
    """Ids in no order, captions with bytes that are no ASCII."""
    rows = [{"id": f"{number * 7 % 20:03d}", "caption": f"a döt {number}\u2028", "extra": 1} for number in range(20)]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "captions.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_empty_conversations_are_left_out_and_the_order_stays(conversations):
    dataset = ConversationDataset(conversations, byte_tokenizer(), name="c", seed=0)
    expected = [name for name, turns in TURNS.items() if turns]
    assert list(dataset.ids) == expected
    assert [dataset.ids[place] for place in range(-1, len(expected))] == [expected[-1], *expected]
    assert len(dataset.ids) == len(expected)
    for name in expected:
        assert dataset.encode(name, 0) == encode_conversation(byte_tokenizer(), TURNS[name])
        assert name in dataset.ids
    assert "000" not in dataset.ids


def test_captions_are_those_of_the_lines(captions):
    dataset = CaptionDataset(captions, byte_tokenizer())
    rows = [json.loads(line) for line in (captions / "captions.jsonl").read_bytes().splitlines()]
    assert list(dataset.ids) == [row["id"] for row in rows]
    for row in reversed(rows):
        assert dataset.encode(row["id"], 3) == encode_caption(byte_tokenizer(), row["caption"])


@given(st.lists(st.text(max_size=6), unique=True, max_size=40), st.randoms(use_true_random=False))
def test_ids_are_a_sequence_of_strings(names, chance):
    ids = Ids.of(iter(names), Path("x"))
    assert ids == names
    kept = np.array([chance.random() < 0.6 for _ in names], bool)
    part = ids.where(kept)
    assert part == [name for name, keep in zip(names, kept, strict=True) if keep]
    assert [part.index(name) for name in part] == list(range(len(part)))
    assert ids.absent(part) == [name for name, keep in zip(names, kept, strict=True) if not keep]
    assert part.absent(ids) == []


def test_more_samples_make_no_more_objects(tmp_path):
    """A worker copies every object of Python that it looks at; numbers in arrays and Arrow's buffers it shares."""
    count = 4000
    with ShardWriter(tmp_path / "train") as writer:
        for number in range(count):
            turns = [["What is this, and where?" * 10, "a dot" * 10]] if number % 2 else []
            writer.write(b"image", {"id": f"{number:06d}", "conversation": turns})
    rows = ({"id": f"{number:06d}", "caption": "a dot" * 50} for number in range(count))
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ids = json.dumps([f"{number:06d}" for number in range(count)])
    (tmp_path / "features").mkdir()
    write_features(tmp_path / "features", json.loads(ids), [torch.zeros(count, 1, 1)])
    openers = {
        "conversations": lambda: ConversationDataset(tmp_path / "train", byte_tokenizer(), name="c", seed=0),
        "captions": lambda: CaptionDataset(tmp_path, byte_tokenizer()),
        "features": lambda: FeatureStore(tmp_path / "features"),
    }
    for name, opener in openers.items():
        opener()  # what is imported and cached at the first time
        tracemalloc.start()
        opened = opener()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(opened.ids) >= count / 2
        assert size / count < 40, name  # bytes; a string of Python and its place in a list take 63


# Processes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def steps(conversations, captions, tmp_path) -> Steps:
    """Both kinds in one mixture, with stored features."""
    (tmp_path / "features").mkdir()
    features = torch.randn(20, 4, 3, generator=torch.Generator().manual_seed(0))
    write_features(tmp_path / "features", list(TURNS), [features])
    texts = {
        "a": ConversationDataset(conversations, byte_tokenizer(), name="a", seed=0, shuffle=True),
        "b": CaptionDataset(captions, byte_tokenizer()),
    }
    store = FeatureStore(tmp_path / "features")
    weights = {"a": 1.0, "b": 1.0}
    train = Pretrain(mixture=weights, num_samples=48, batch_size=8, micro_batch_size=4, learning_rate=1.0)
    data = TrainingData(0, weights, texts, {"a": store, "b": store})
    return Steps(data, train, num_image_tokens=2, image_token_id=300, rank=0, world_size=1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_see_the_same_samples(steps, method):
    expected = [steps[step] for step in range(3)]
    loader = DataLoader(steps, None, sampler=range(3), num_workers=1, collate_fn=_same, multiprocessing_context=method)
    for found, step in zip(loader, expected, strict=True):
        assert found.names == step.names
        for one, other in zip(found.batches, step.batches, strict=True):
            assert torch.equal(one.input_ids, other.input_ids)
            assert torch.equal(one.images, other.images)


def _same(step):
    return step


def copied(thing):
    """As a worker gets it that is not forked."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


def test_every_part_comes_back_from_a_pickle(steps, tmp_path):
    again = copied(steps)
    assert [again.names(step) for step in range(6)] == [steps.names(step) for step in range(6)]
    assert again[1].supervised == steps[1].supervised
    store = copied(FeatureStore(tmp_path / "features"))
    assert list(store.ids) == list(TURNS)


def test_samples_without_an_image_are_named(captions, tmp_path):
    (tmp_path / "features").mkdir()
    write_features(tmp_path / "features", list(TURNS)[:-2], [torch.zeros(18, 1, 1)])
    dataset, store = CaptionDataset(captions, byte_tokenizer()), FeatureStore(tmp_path / "features")
    with pytest.raises(PargoError, match=r"dataset b: no image or features of 2 samples, e\.g\. 01[89]"):
        TrainingData(0, {"b": 1.0}, {"b": dataset}, {"b": store})
    with pytest.raises(PargoError, match="has no features of image '019'"):
        store["019"]


# Damage ---------------------------------------------------------------------------------------------------------------


def open_conversations(directory: Path) -> ConversationDataset:
    return ConversationDataset(directory, byte_tokenizer(), name="c", seed=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:2000], r"shard-00001\.tar is truncated: sample '00[789]' ends beyond its end"),
        (
            lambda data: data.replace(b'"id":"008"', b'"id":"00X"'),
            "the record of sample '008' is damaged, or another's",
        ),
        (lambda data: data.replace(b'{"conversation', b'["conversation'), r"shard-00001\.tar: .* '007' is damaged"),
        (lambda data: data.replace(b'"conversation"', b'"conversatiox"'), "sample '007' has no conversation"),
    ],
)
def test_damaged_shards_are_named(conversations, damage, message):
    path = conversations / "shard-00001.tar"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError if "truncated" not in message else PargoError, match=message):
        open_conversations(conversations)


def test_shards_that_are_damaged_later_are_named(conversations):
    dataset = open_conversations(conversations)
    path = conversations / "shard-00001.tar"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PargoError, match="is truncated"):
        dataset.encode("013", 0)
    (conversations / "shard-00000.tar").unlink()
    with pytest.raises(PargoError, match=r"cannot read sample '000': .*shard-00000\.tar"):
        open_conversations(conversations)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], r"captions\.jsonl, line 20: no JSON object"),
        (lambda data: data.replace(b'"caption"', b'"captiox"', 1), r"line 1: no JSON object with `id` and `caption`"),
        (lambda data: data.replace("dö".encode(), b"d\xff", 1), "line 1: no JSON object"),
        (lambda data: b"[]\n" + data, "line 1: no JSON object"),
        (lambda data: b'{"id": 3, "caption": ""}\n' + data, "line 1: no JSON object"),
        (lambda data: data + data.splitlines(keepends=True)[3], r"captions\.jsonl: sample '001' is there twice"),
    ],
)
def test_damaged_captions_are_named(captions, damage, message):
    path = captions / "captions.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        CaptionDataset(captions, byte_tokenizer())


def test_captions_that_are_damaged_later_are_named(captions):
    dataset = CaptionDataset(captions, byte_tokenizer())
    path = captions / "captions.jsonl"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)
    with pytest.raises(InputError, match="line 20: no JSON object"):
        dataset.encode(dataset.ids[-1], 0)
    path.unlink()
    with pytest.raises(PargoError, match=f"cannot read captions: {path}: No such file"):
        CaptionDataset(captions, byte_tokenizer())


def test_captions_of_another_file_are_not_taken_for_those_of_a_sample(captions):
    dataset = CaptionDataset(captions, byte_tokenizer())
    path = captions / "captions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))  # lines of the same length
    with pytest.raises(InputError, match=r"captions\.jsonl, line 2: of '000', not '007': the file has changed"):
        dataset.encode("007", 0)
    again = CaptionDataset(captions, byte_tokenizer())
    path.unlink()
    with pytest.raises(PargoError, match=f"cannot read captions: {path}: No such file"):
        again.encode("007", 0)


@pytest.mark.parametrize("ids", ['["a", "a"]', "[1, 2]", '["a"', "3"])
def test_damaged_ids_of_features_are_named(tmp_path, ids):
    write_features(tmp_path, ["a", "b"], [torch.zeros(2, 1, 1)])
    (tmp_path / "ids.json").write_text(ids)
    with pytest.raises(PargoError, match="is not a feature directory: "):
        FeatureStore(tmp_path)


def test_shards_give_all_records_in_order(conversations):
    assert {record["id"]: record["conversation"] for record in Shards(conversations).records()} == TURNS
