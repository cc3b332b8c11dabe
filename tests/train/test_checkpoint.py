"""Checkpoints: round trip, the last two kept, damaged and foreign ones passed over."""

import pytest
import torch

from pargo.train.checkpoint import METRICS, OPTIMIZER, STATE, WEIGHTS, Checkpoints


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def checkpoints(tmp_path, said):
    store = Checkpoints(tmp_path / "checkpoints", "spec", warn=said.append)
    for step in (2, 4, 6):
        state = {"step": torch.tensor(float(step)), "exp_avg.projector.w": torch.arange(3.0)}
        store.save(
            step, {"projector.w": torch.full((2,), float(step))}, state, [f"{n}\n" for n in range(step)], {"a": "b"}
        )
    return store


def test_round_trip(checkpoints, said):
    loaded = checkpoints.load()
    assert loaded.step == 6
    assert loaded.weights["projector.w"].tolist() == [6.0, 6.0]
    assert loaded.optimizer["step"] == 6
    assert loaded.computed == {"a": "b"}
    assert loaded.metrics == [f"{n}\n" for n in range(6)]
    assert not said


def test_two_are_kept(checkpoints):
    assert sorted(path.name for path in checkpoints.directory.iterdir()) == ["step-00000004", "step-00000006"]


@pytest.mark.parametrize("name", [WEIGHTS, METRICS, STATE, OPTIMIZER])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_the_previous_one_is_used_when_the_newest_is_damaged(checkpoints, said, name, damage):
    path = checkpoints.directory / "step-00000006" / name
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "truncate" else bytes([data[0] ^ 255]) + data[1:])
    assert checkpoints.load().step == 4
    assert len(said) == 1
    assert "step-00000006 is not used" in said[0]


def test_as_many_as_asked_for_are_kept(tmp_path):
    store = Checkpoints(tmp_path, "spec", keep=3)
    for step in range(1, 6):
        store.save(step, {"w": torch.zeros(1)}, {"step": torch.tensor(1.0)}, [], {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{step:08d}" for step in (3, 4, 5)]


def test_an_unfinished_one_is_not_seen(checkpoints):
    (checkpoints.directory / ".step-00000008").mkdir()
    assert checkpoints.load().step == 6


def test_one_of_other_settings_is_ignored(checkpoints, said):
    other = Checkpoints(checkpoints.directory, "another spec", warn=said.append)
    assert other.load() is None
    assert len(said) == 2
    assert "other settings" in said[0]


def test_those_of_other_settings_stay_and_do_not_push_out_new_ones(checkpoints):
    other = Checkpoints(checkpoints.directory, "another spec", warn=lambda _: None)
    other.save(2, {"projector.w": torch.zeros(2)}, {"step": torch.tensor(2.0)}, ["1\n", "2\n"], {})
    assert other.load().step == 2
    assert checkpoints.load().step == 6  # somebody who goes back to the settings goes on from there
    other.save(6, {"projector.w": torch.ones(2)}, {"step": torch.tensor(6.0)}, [], {})
    assert other.load().step == checkpoints.load().step == 6
    assert checkpoints.load().weights["projector.w"].tolist() == [6.0, 6.0]
    assert other.load().weights["projector.w"].tolist() == [1.0, 1.0]


def test_without_any_there_is_none(tmp_path):
    assert Checkpoints(tmp_path / "none", "spec").load() is None


def test_a_training_goes_on_from_one_that_was_kept_otherwise(tmp_path, said):
    """`how` changes no number, but where it says so itself: what skipped samples may not go on as if it had not."""

    def store(bad: str, workers: int) -> Checkpoints:
        goes_on = {"stop": lambda how: how["bad"] == "stop", "skip": lambda how: True}[bad]
        return Checkpoints(tmp_path, "spec", warn=said.append, how={"bad": bad, "workers": workers}, goes_on=goes_on)

    def save(store: Checkpoints, step: int) -> None:
        store.save(step, {"w": torch.zeros(1)}, {"step": torch.tensor(1.0)}, [], {})

    save(store("stop", 0), 2)
    assert store("stop", 4).load().step == store("skip", 4).load().step == 2
    save(store("skip", 4), 3)
    assert store("stop", 0).load().step == 2
    assert 'step-00000003 is not used: it was made with {"bad":"skip","workers":4}' in said[0]
    save(store("stop", 0), 3)  # takes the name, but not the place, of the other one
    assert len(list(tmp_path.glob("step-00000003*"))) == 2
