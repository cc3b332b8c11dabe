"""What `max_length` cuts off: packed as padded, refused where nothing is left, counted alike however it is computed."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from pargo.data.template import IGNORE_INDEX, IMAGE, Encoded
from pargo.errors import PargoError
from pargo.train.batch import length, num_supervised
from pargo.train.cut import LOOKED_AT, Cut, add_up, check_room, estimate, lines, shorten
from pargo.train.data import TrainingData
from tests.helpers.training_processes import finish, job, start, train

IMAGE_TOKENS = 5  # of the world's projector
NO_DROPOUT = {"rank": 4, "alpha": 8, "learning_rate": 5e-4}


@pytest.fixture(scope="module", autouse=True)
def pretrained(world):
    """The input of fine-tuning."""
    if not (world.root / "pretrained").exists():
        stage, settings, arguments = job(world, world.root, "pretrain")
        train(stage, settings, arguments | {"output": world.root / "pretrained"})


# Packed and padded ----------------------------------------------------------------------------------------------------


def weights_of(root: Path) -> dict[str, torch.Tensor]:
    return load_file(root / "out" / "model.safetensors")


@pytest.mark.parametrize(("room", "micro_batch_size"), [(1, 8), (1, 2), (2, 8)])
def test_short_samples_train_packed_as_padded(world, tmp_path, room, micro_batch_size):
    """With room for one token, a packed row is one image after the other and nothing else."""
    changes = {"max_length": IMAGE_TOKENS + room, "micro_batch_size": micro_batch_size}
    padded = train(*job(world, tmp_path / "padded", packing=False, **changes))
    packed = train(*job(world, tmp_path / "packed", **changes))
    assert [row["supervised_tokens"] for row in packed] == [8 * room] * 6
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in packed] == pytest.approx([row[name] for row in padded], rel=1e-6)
    torch.testing.assert_close(weights_of(tmp_path / "packed"), weights_of(tmp_path / "padded"), atol=1e-6, rtol=1e-6)


def test_a_batch_of_one(world, tmp_path):
    changes = {"max_length": IMAGE_TOKENS + 1, "batch_size": 1, "micro_batch_size": 1, "num_samples": 6}
    found = [train(*job(world, tmp_path / str(packing), packing=packing, **changes)) for packing in (True, False)]
    assert [row["loss"] for row in found[0]] == pytest.approx([row["loss"] for row in found[1]], rel=1e-6)


@pytest.mark.parametrize(
    ("stage", "attention"), [("pretrain", "fused"), ("pretrain", "sdpa"), ("pretrain", "eager"), ("finetune", "fused")]
)
def test_bad_and_unanswered_samples_among_short_ones(world, tmp_path, stage, attention):
    """A sample without features and some without an answer keep their places in a packed row."""
    features = Path(shutil.copytree(world.root / "features", tmp_path / "features"))
    shutil.copy(world.root / "features.manifest.json", tmp_path / "features.manifest.json")
    data = bytearray((features / "features.safetensors").read_bytes())
    data[-2:] = b"\xff\x7f"  # a NaN in float16
    (features / "features.safetensors").write_bytes(data)
    room = {"pretrain": 1, "finetune": len("\nA dot? y")}[stage]
    changes = {"max_length": IMAGE_TOKENS + room, "on_bad_sample": "skip", "micro_batch_size": 4}
    if stage == "finetune":
        changes["lora"] = NO_DROPOUT
    found = {}
    for packing in (True, False):
        name, text, arguments = job(world, tmp_path / str(packing), stage, packing=packing, **changes)
        settings = json.loads(text)
        settings["language"]["attention"] = attention
        found[packing] = train(name, json.dumps(settings), arguments | {"features": {"scenes": features}})
    assert sum(row["skipped_samples"] for row in found[True]) >= 2
    for name in ("skipped_samples", "supervised_tokens", "cut"):
        assert [row[name] for row in found[True]] == [row[name] for row in found[False]]
    for name in ("loss", "gradient_norm"):
        assert [row[name] for row in found[True]] == pytest.approx([row[name] for row in found[False]], rel=1e-5)


@pytest.mark.parametrize(
    ("stage", "max_length", "message"),
    [
        ("pretrain", 1, "max_length 1 holds no answer: an image takes 5 tokens; raise it"),
        ("pretrain", IMAGE_TOKENS, "max_length 5 holds no answer: an image takes 5 tokens; raise it"),
        ("finetune", IMAGE_TOKENS, "max_length 5 holds no answer: an image takes 5 tokens; raise it"),
        ("finetune", IMAGE_TOKENS + len("\nRed?"), "no supervised token within max_length 10 in the first steps"),
    ],
)
def test_no_room_for_an_answer_is_refused_before_the_model_is_built(
    world, tmp_path, monkeypatch, stage, max_length, message
):
    from pargo.train import finetune, pretrain

    monkeypatch.setattr(pretrain, "build_model", None)
    monkeypatch.setattr(finetune, "build_model", None)
    with pytest.raises(PargoError, match=message):
        train(*job(world, tmp_path, stage, max_length=max_length))
    assert not (tmp_path / "out").exists()


# Counts ---------------------------------------------------------------------------------------------------------------

LIMIT = IMAGE_TOKENS + len(" a red do")  # cuts all captions: ` a red dot` and its newline
CHANGES = {"max_length": LIMIT, "micro_batch_size": 2, "mixture": {"scenes": 2.0, "others": 1.0}}


def two_datasets(world, root: Path, **changes) -> tuple[str, str, dict]:
    """A second dataset, of which one caption in four is longer."""
    others = root.parent / "others" / "captions"
    if not others.exists():
        shutil.copytree(world.root / "captions", others)
        rows = [{"id": f"{number:04d}", "caption": "it" + " is" * (4 * (number % 4 == 0))} for number in range(24)]
        (others / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        shutil.copy(world.root / "captions.manifest.json", others.with_name("captions.manifest.json"))
    stage, settings, arguments = job(world, root, **CHANGES | changes)
    arguments["captions"] = {"scenes": world.root / "captions", "others": others}
    arguments["features"] = {"scenes": world.root / "features", "others": world.root / "features"}
    return stage, settings, arguments


def recorded(root: Path) -> dict[str, dict[str, int]]:
    return json.loads((root / "out" / "provenance.json").read_text())["measured"]["cut"]


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    root = tmp_path_factory.mktemp("cut") / "whole"
    return root, train(*two_datasets(world, root))


def test_counts_are_those_of_the_texts(world, whole, capfd, tmp_path):
    """By hand: a byte is a token, a caption has a space before and a newline after it."""
    root, metrics = whole
    sums = add_up({name: Cut(**counts) for name, counts in row["cut"].items()} for row in metrics)
    assert {name: cut._asdict() for name, cut in sums.items()} == recorded(root)
    assert sum(cut.samples for cut in sums.values()) == 48
    assert min(cut.samples for cut in sums.values()) > 8
    scenes, others = sums["scenes"], sums["others"]
    assert scenes.cut == scenes.samples
    assert scenes.supervised - scenes.lost == scenes.samples * len(" a red do")
    assert 0 < others.cut < others.samples
    long, short = len(" it is is is is\n"), len(" it\n")
    assert others.supervised == others.cut * long + (others.samples - others.cut) * short
    assert others.lost == others.cut * (long - len(" a red do"))
    assert scenes.unanswered == others.unanswered == 0
    assert all(
        row["supervised_tokens"] == sum(cut["supervised"] - cut["lost"] for cut in row["cut"].values())
        for row in metrics
    )
    train(*two_datasets(world, tmp_path / "again"))
    printed = capfd.readouterr().out.splitlines()
    started = [line for line in printed if "of the first" in line]
    ended = [line for line in printed if "of all" in line]
    assert len(started) == len(ended) == 2
    assert ended[1] == (
        f"max_length {LIMIT} cuts {scenes.cut} of all {scenes.samples} samples of scenes (100.0%), "
        f"{scenes.lost / scenes.supervised:.1%} of their supervised tokens; 0 left without an answer"
    )
    # fewer samples than are looked at: the estimate is exact
    assert [line.replace("the first", "all") for line in started] == ended


@pytest.mark.parametrize("changes", [{"micro_batch_size": 8}, {"num_workers": 2}, {"packing": False}])
def test_counts_do_not_depend_on_how_it_is_computed(world, whole, tmp_path, changes):
    train(*two_datasets(world, tmp_path / "run", **changes))
    assert recorded(tmp_path / "run") == recorded(whole[0])


def test_two_ranks_count_as_one(world, whole, tmp_path):
    assert finish(start([two_datasets(world, tmp_path / "run")], world_size=2)) == [0, 0]
    assert recorded(tmp_path / "run") == recorded(whole[0])
    rows = [json.loads(line) for line in (tmp_path / "run" / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [row["cut"] for row in rows] == [row["cut"] for row in whole[1]]


def test_a_resumed_training_counts_from_the_beginning(world, whole, tmp_path):
    settings = {"checkpoint_interval": 1}
    processes = start([two_datasets(world, tmp_path / "run", **settings)], kill_after=4)
    assert finish(processes) == [-signal.SIGKILL]
    train(*two_datasets(world, tmp_path / "run", **settings))
    assert recorded(tmp_path / "run") == recorded(whole[0])


def test_samples_without_an_answer_are_counted_as_cut(world, tmp_path):
    limit = IMAGE_TOKENS + len("\nA dot? ")  # long first questions leave no answer
    metrics = train(*job(world, tmp_path, "finetune", max_length=limit))
    assert recorded(tmp_path)["scenes"]["unanswered"] == sum(row["skipped_samples"] for row in metrics) > 0


def test_nothing_is_recorded_without_a_limit(world, tmp_path):
    metrics = train(*job(world, tmp_path))
    assert all("cut" not in row for row in metrics)
    assert "cut" not in json.loads((tmp_path / "out" / "provenance.json").read_text())["measured"]


# Parts ----------------------------------------------------------------------------------------------------------------


@given(
    labels=st.lists(st.sampled_from([IGNORE_INDEX, 5]), max_size=30),
    max_length=st.none() | st.integers(1, 40),
    images=st.integers(1, 6),
)
def test_what_is_kept_and_what_is_lost_add_up(labels, max_length, images):
    text = Encoded((IMAGE, *range(len(labels))), (IGNORE_INDEX, *labels))
    short, cut = shorten(text, max_length, images)
    assert cut.samples == 1
    assert cut.supervised == num_supervised(text) == num_supervised(short) + cut.lost
    assert cut.cut == (short != text)
    assert cut.unanswered == (cut.lost > 0 and not num_supervised(short))
    assert short.input_ids == text.input_ids[: len(short.input_ids)]
    if max_length is not None and short != text:
        assert length(short, images) == max_length or (max_length < images and short.input_ids == ())


class Texts:
    """Every sample has an answer of as many tokens as its number."""

    def __init__(self, count: int) -> None:
        self.ids = [str(number) for number in range(count)]

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        tokens = (7,) * int(sample_id)
        return Encoded((IMAGE, *tokens), (IGNORE_INDEX, *tokens))


class Settings:
    """The parts of a training's settings that are read."""

    num_samples, batch_size, max_length = 50_000, 1, 12


def test_a_rare_dataset_is_looked_at_as_often_as_a_common_one():
    texts = {"common": Texts(100), "rare": Texts(20)}
    images = {name: dict.fromkeys(dataset.ids) for name, dataset in texts.items()}
    data = TrainingData(0, {"common": 98.0, "rare": 2.0}, texts, images)
    found = estimate(data, Settings(), num_image_tokens=2)
    assert {name: cut.samples for name, cut in found.items()} == {"common": LOOKED_AT, "rare": LOOKED_AT}
    assert found["common"].cut / LOOKED_AT == pytest.approx(0.89, abs=0.05)  # those above 10
    assert found["rare"].cut / LOOKED_AT == pytest.approx(9 / 20, abs=0.05)
    check_room(data, Settings(), num_image_tokens=2)


def test_lines_say_when_nothing_is_cut():
    assert list(lines({"a": Cut(5, supervised=9), "b": Cut(3)}, 2048, "all")) == [
        "max_length 2,048 cuts none of all 8 samples"
    ]
