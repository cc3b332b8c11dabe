"""What goes wrong in a long training: damaged files, a full disk, numbers that are not finite, signals."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pargo.config.models import Vision
from pargo.data.feature_store import IDS
from pargo.data.rgb import open_rgb
from pargo.data.template import Encoded
from pargo.errors import PargoError
from pargo.models.image_processor import PargoImageProcessor
from pargo.train.checkpoint import Checkpoints
from pargo.train.data import Pixels, TrainingData
from tests.helpers.training_processes import CONTEXT, finish, job, start, train


def killed(world, root: Path, after: int = 5, **changes) -> Path:
    """The checkpoints of a training that died."""
    changes = {"checkpoint_interval": 1} | changes
    assert finish(start([job(world, root, **changes)], kill_after=after)) == [-signal.SIGKILL]
    return root / "run" / "checkpoints"


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_truncated_checkpoint_is_passed_over(world, tmp_path, capfd, name):
    whole = train(*job(world, tmp_path / "whole", checkpoint_interval=1))
    newest = max(killed(world, tmp_path).iterdir())
    (newest / name).write_bytes((newest / name).read_bytes()[:100])
    capfd.readouterr()
    metrics = train(*job(world, tmp_path, checkpoint_interval=1))
    printed = capfd.readouterr().out
    assert f"checkpoint {newest.name} is not used: it is damaged" in printed
    assert "resuming after step 3" in printed
    assert metrics == whole


def full_disk(root: str, arguments: tuple) -> None:
    """Files larger than 20 kB cannot be written from the third checkpoint on."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    save = Checkpoints.save

    def limited(self: Checkpoints, step: int, *parts) -> None:
        if step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        save(self, step, *parts)

    Checkpoints.save = limited
    try:
        train(*arguments)
    except PargoError as error:
        # the limit holds for every file, so this one is short
        Path(root, "error.txt").write_text(str(error))


def test_a_full_disk_leaves_the_last_good_checkpoint(world, tmp_path, capfd):
    arguments = job(world, tmp_path, checkpoint_interval=1)
    process = CONTEXT.Process(target=full_disk, args=(str(tmp_path), arguments))
    process.start()
    assert finish([process]) == [0]
    error = (tmp_path / "error.txt").read_text()
    assert "cannot write checkpoint" in error
    assert "too large" in error
    assert error.endswith("the last good one: step-00000002")
    left = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert left == ["step-00000001", "step-00000002"]
    capfd.readouterr()
    train(*arguments)
    assert "resuming after step 2" in capfd.readouterr().out


def terminated(root: str, arguments: tuple, when: str) -> None:
    """SIGTERM comes in the third step, or while the second checkpoint is written: once, or again as it goes on."""
    from pargo.train import checkpoint, loop

    seen = []
    if when == "step":
        original_step = loop._step

        def step(*parts) -> dict:
            seen.append(parts)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return original_step(*parts)

        loop._step = step
    else:
        original = checkpoint._sync

        def sync(path: Path) -> None:
            if path.parent.name == ".step-00000002":
                seen.append(path)
                if len(seen) <= (2 if when == "saving, twice" else 1):
                    os.kill(os.getpid(), signal.SIGTERM)
            original(path)

        checkpoint._sync = sync
    try:
        train(*arguments)
    except PargoError as error:
        Path(root, "error.txt").write_text(str(error))


@pytest.mark.parametrize(("when", "last"), [("step", 3), ("saving", 3), ("saving, twice", 1)])
def test_sigterm_leaves_a_whole_checkpoint(world, tmp_path, capfd, when, last):
    whole = train(*job(world, tmp_path / "whole", checkpoint_interval=1))
    arguments = job(world, tmp_path, checkpoint_interval=1)
    process = CONTEXT.Process(target=terminated, args=(str(tmp_path), arguments, when))
    process.start()
    if when == "saving, twice":
        assert finish([process]) == [-signal.SIGTERM]  # the second one does not wait
    else:
        assert finish([process]) == [0]
        error = (tmp_path / "error.txt").read_text()
        assert error == "ended by SIGTERM after step 3; the next run continues from there"
    capfd.readouterr()
    metrics = train(*arguments)
    printed = capfd.readouterr().out
    assert f"resuming after step {last}" in printed
    assert "is not used" not in printed
    assert metrics == whole


@pytest.fixture
def features(world, tmp_path) -> Path:
    """A copy of the features, to damage."""
    return Path(shutil.copytree(world.root / "features", tmp_path / "features"))


def with_features(world, root: Path, features: Path, **changes) -> tuple:
    stage, settings, arguments = job(world, root, **changes)
    manifest = features.with_name("features.manifest.json")
    shutil.copy(world.root / "features.manifest.json", manifest)
    return stage, settings, arguments | {"features": {"scenes": features}}


def poison(features: Path) -> str:
    """Make one number of a sample NaN; its id."""
    path = features / "features.safetensors"
    data = bytearray(path.read_bytes())
    data[-2:] = b"\xff\x7f"  # a NaN in float16
    path.write_bytes(data)
    assert not load_file(path)["features"].isfinite().all()
    return json.loads((features / IDS).read_text())[-1]


def test_a_nan_sample_is_named(world, features, tmp_path):
    bad = poison(features)
    with pytest.raises(PargoError, match=rf"step \d: sample scenes/{bad}: .*not finite"):
        train(*with_features(world, tmp_path, features))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_nan_sample_is_skipped_and_counted(world, features, tmp_path, capfd, num_workers):
    bad = poison(features)
    changes = {"on_bad_sample": "skip", "num_workers": num_workers, "micro_batch_size": 1}
    metrics = train(*with_features(world, tmp_path, features, **changes))
    printed = capfd.readouterr().out
    assert sum(row["skipped_samples"] for row in metrics) == 2  # two epochs
    assert f"1 samples skipped scenes/{bad}" in printed
    assert "skipped: 2 samples, 0 updates" in printed
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "out" / "model.safetensors").values())


@pytest.mark.parametrize("name", ["features.safetensors", IDS])
def test_missing_features_are_named(world, features, tmp_path, name):
    (features / name).unlink()
    with pytest.raises(PargoError, match=f"{features} is not a feature directory: .*{name}"):
        train(*with_features(world, tmp_path, features))


def test_a_missing_shard_is_named(world, tmp_path):
    source = Path(shutil.copytree(world.root / "source", tmp_path / "source"))
    shutil.copy(world.root / "source.manifest.json", tmp_path / "source.manifest.json")
    shard = next((source / "train").glob("*.tar"))
    shard.unlink()
    stage, settings, arguments = job(world, tmp_path, "finetune")
    if not (world.root / "pretrained").exists():
        first = job(world, tmp_path / "first")
        train(first[0], first[1], first[2] | {"output": world.root / "pretrained"})
    with pytest.raises(PargoError, match=shard.name):
        train(stage, settings, arguments | {"sources": {"scenes": source}})


def in_loop(world, root: Path, **changes) -> tuple:
    stage, settings, arguments = job(world, root, features="in_loop", **changes)
    inputs = {"features": {}, "images": {"scenes": world.root / "images"}, "vision": world.root / "tower"}
    return stage, settings, arguments | inputs


class TowerThatOverflows(torch.nn.Module):
    """Features [B, 16, 8] from the means of the pixels; those of the darkest image are too large for float16."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        means = pixels.mean(dim=(1, 2, 3))
        features = torch.linspace(-1, 1, 16 * 8).view(1, 16, 8) * means.view(-1, 1, 1)
        return torch.where((means < self.limit).view(-1, 1, 1), 1e6, features)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_features_that_overflow_in_the_loop(world, tower, tmp_path, monkeypatch, capfd, policy, packing):
    """One sample of 24: it is named, or left out of the loss as if it had no answer."""
    from pargo.models import build
    from pargo.train.stage import open_images

    images, processor = open_images(world.root / "images", "train"), PargoImageProcessor.for_tower
    sizes = Vision(source="v", architecture="none", image_size=32, num_patches=16, feature_size=8)
    pixels = Pixels(images, processor(sizes, world.root / "tower"))
    means = {name: float(pixels[name].mean()) for name in images.ids}
    bad = min(means, key=means.__getitem__)
    overflowing = TowerThatOverflows()
    overflowing.limit = sum(sorted(means.values())[:2]) / 2
    monkeypatch.setattr(build, "load_vision_tower", lambda *_: overflowing)
    arguments = in_loop(world, tmp_path, on_bad_sample=policy, micro_batch_size=4, packing=packing)
    if policy == "stop":
        with pytest.raises(PargoError, match=rf"step \d: sample scenes/{bad}: its features are not finite in float16"):
            train(*arguments)
        return
    metrics = train(*arguments)
    assert sum(row["skipped_samples"] for row in metrics) == 2  # two epochs
    assert f"1 samples skipped scenes/{bad}" in capfd.readouterr().out
    assert all(row["loss"] is not None for row in metrics)
    whole = {row["step"]: row["supervised_tokens"] for row in train(*job(world, tmp_path / "whole", packing=packing))}
    for row in metrics:
        assert (row["supervised_tokens"] < whole[row["step"]]) == bool(row["skipped_samples"])


class ImagesWithOneBroken:
    """Small images by id; the last one's file is cut off."""

    def __init__(self, count: int) -> None:
        self.ids = [f"image-{number}" for number in range(count)]
        self.broken = self.ids[-1]
        self.processor = PargoImageProcessor(size={"height": 32, "width": 32})

    def __contains__(self, identifier: object) -> bool:
        return identifier in self.ids

    def read(self, identifier: str) -> bytes:
        buffer = io.BytesIO()
        Image.effect_noise((40, 40), 50).convert("RGB").save(buffer, "PNG")
        data = buffer.getvalue()
        return data[: len(data) // 2] if identifier == self.broken else data

    def load(self, identifier: str) -> Image.Image:
        return open_rgb(io.BytesIO(self.read(identifier)), identifier)


class OneWordTexts:
    """One word for each image."""

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids

    def encode(self, sample_id: str, epoch: int) -> Encoded:
        return Encoded((-1, 5), (-100, 5))


@pytest.mark.parametrize("skip", [False, True])
def test_an_unreadable_image_is_named_or_skipped(world, tmp_path, skip):
    images = ImagesWithOneBroken(4)
    data = TrainingData(
        0, {"a": 1.0}, {"a": OneWordTexts(images.ids)}, {"a": Pixels(images, images.processor)}, skip_bad=skip
    )
    broken = [index for index in range(8) if data.name(index) == f"a/{images.broken}"]
    assert broken
    assert data.image(next(index for index in range(8) if index not in broken)).shape == (3, 32, 32)
    if skip:
        assert data.image(broken[0]) is None
    else:
        with pytest.raises(PargoError, match=f"sample a/{images.broken}: .*{images.broken}"):
            data.image(broken[0])


@pytest.mark.parametrize("zero_stage", [0, 2, 3])
@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(("policy", "poisoned_step"), [("stop", 3), ("skip", 3), ("skip", 1)])
def test_a_step_that_is_not_finite(world, tmp_path, monkeypatch, capfd, zero_stage, value, policy, poisoned_step):
    """The gradient of one step is NaN, or only its loss is infinite; weights and optimizer must not notice."""
    from pargo.train import loss

    original, passes = loss.summed_cross_entropy, []

    def poisoned(*parts) -> torch.Tensor:
        passes.append(parts)
        if len(passes) != poisoned_step:
            return original(*parts)
        return original(*parts) * float(value) if value == "nan" else original(*parts) + float(value)

    monkeypatch.setattr(loss, "summed_cross_entropy", poisoned)
    arguments = job(world, tmp_path, zero_stage=zero_stage, on_non_finite=policy, checkpoint_interval=1)
    if policy == "stop":
        with pytest.raises(PargoError, match=rf"step 3: loss {value}.*samples: scenes/\d+, scenes/"):
            train(*arguments)
        return
    metrics = train(*arguments)
    assert [row["step"] for row in metrics if row["skipped_update"]] == [poisoned_step]
    assert [row["step"] for row in metrics if row["loss"] is None] == [poisoned_step]
    assert "skipped: 0 samples, 1 updates" in capfd.readouterr().out
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "out" / "model.safetensors").values())


def test_a_bad_sample_of_one_rank_ends_all(world, features, tmp_path):
    bad = poison(features)
    settings = {"micro_batch_size": 1}
    processes = start([with_features(world, tmp_path, features, **settings)], world_size=2)
    assert finish(processes) == [1, 1]  # both say what it was, and none waits for the other
    assert bad


@pytest.mark.parametrize("damage", ["", "step\tloss\n1\t2.0\n2", "nonsense"])
def test_a_damaged_table_of_events_is_no_reason_to_stop(world, tmp_path, damage):
    killed(world, tmp_path)
    (table,) = (tmp_path / "run" / "dvclive").glob("plots/metrics/train/loss.tsv")
    table.write_text(damage)
    assert len(train(*job(world, tmp_path, checkpoint_interval=1))) == 6


def test_a_diverged_run_says_so(world, tmp_path):
    with pytest.raises(PargoError, match=r"step \d: .*diverged"):
        train(*job(world, tmp_path, learning_rate=1e30))
    assert not (tmp_path / "out").exists()


def test_timing_and_events_need_no_disk(world, tmp_path, monkeypatch, capfd):
    """A log that cannot be written any more is said once, and the training ends as without it."""
    from pargo.train import loop

    whole = train(*job(world, tmp_path / "whole"))

    class FullDisk(loop.Events):
        def write(self, step: int, parts: dict) -> None:
            if step >= 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().write(step, parts)

    monkeypatch.setattr(loop, "Events", FullDisk)
    capfd.readouterr()
    assert train(*job(world, tmp_path)) == whole
    assert capfd.readouterr().out.count("no more timing and events: [Errno 28] No space left on device") == 1
    assert len((tmp_path / "run" / "timing.jsonl").read_text().splitlines()) == 3


def steps_read_ahead(root: str, arguments: tuple) -> None:
    """Under a limit of 64 open files, which may be raised to 4,096."""
    multiprocessing.set_start_method("fork", force=True)  # of workers, as in a job
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))
    train(*arguments)
    Path(root, "limit.txt").write_text(str(resource.getrlimit(resource.RLIMIT_NOFILE)))


def test_reading_ahead_raises_the_limit_of_open_files(world, tmp_path):
    """24 passes of a step and two steps ahead are some hundred tensors, each an open file."""
    changes = {"num_workers": 1, "batch_size": 24, "micro_batch_size": 1}
    process = CONTEXT.Process(target=steps_read_ahead, args=(str(tmp_path), job(world, tmp_path, **changes)))
    process.start()
    assert finish([process]) == [0]
    assert (tmp_path / "limit.txt").read_text() == "(4096, 4096)"
