"""What was made before is found by what makes it, whatever git did to its manifest since."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pargo import made
from pargo.accepted import accept
from pargo.code import code_hash
from pargo.kept import KEPT, kept
from pargo.layout import manifest_path
from pargo.made import Spec, reason_to_remake
from pargo.manifest import publish
from pargo.seen import files_below
from pargo.store import find, restore

OUTPUT = Path("artifacts/micro/models/pargo/seed-0/pretrain")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


NO_CODE = code_hash([])


def spec(rank: int, code: str = NO_CODE) -> Spec:
    return Spec("pretrain", {"rank": rank}, code, ())


def make(rank: int, output: Path = OUTPUT) -> str:
    """Make an artifact; its manifest."""
    with publish(output, settings={"rank": rank}) as folder:
        (folder / "weights").write_text(str(rank))
    return manifest_path(output).read_text()


def test_there_and_back_and_there_again() -> None:
    make(1), make(2)
    for rank in (1, 2, 1):
        assert restore(OUTPUT, spec(rank)) is not None
        assert (OUTPUT / "weights").read_text() == str(rank)
        assert reason_to_remake(OUTPUT, spec(rank)) == ""
    assert len(kept()) == 1  # the other one


def test_one_of_another_config_is_found() -> None:
    other = Path("artifacts/quick/models/other/seed-0/pretrain")
    make(1, other)
    assert find(OUTPUT, spec(1)) == other
    assert restore(OUTPUT, spec(1)) == other
    assert reason_to_remake(other, spec(1)) == reason_to_remake(OUTPUT, spec(1)) == ""


def test_a_manifest_that_git_replaced_loses_nothing() -> None:
    """Going to another branch changes the manifests, which are in git, and not the artifacts, which are not."""
    first, second = make(1), make(2)
    manifest_path(OUTPUT).write_text(first)  # the branch of the first
    assert "not as it was made" in reason_to_remake(OUTPUT, spec(1))
    restore(OUTPUT, spec(1))
    assert reason_to_remake(OUTPUT, spec(1)) == ""
    manifest_path(OUTPUT).write_text(second)  # and back
    assert restore(OUTPUT, spec(2)) is not None
    assert reason_to_remake(OUTPUT, spec(2)) == ""
    manifest_path(OUTPUT).unlink()
    make(3)
    assert restore(OUTPUT, spec(2)) is not None


def test_what_was_edited_by_hand_is_never_restored() -> None:
    make(1)
    (OUTPUT / "weights").write_text("7")
    manifest_path(OUTPUT).unlink()
    make(2)
    assert restore(OUTPUT, spec(1)) is None


@pytest.mark.parametrize("place", [OUTPUT, Path("artifacts/quick/models/other/seed-0/pretrain")])
def test_an_accepted_change_of_code_counts_for_what_was_made_before(place: Path) -> None:
    """Accepted, then another setting and back; or made by the code before by another config."""
    make(1, place), make(2, place)
    assert find(OUTPUT, spec(1, "another code")) is None
    accept(OUTPUT, {"output": OUTPUT.as_posix(), "from": NO_CODE, "to": "another code"})
    assert restore(OUTPUT, spec(1, "another code")) is not None
    assert (OUTPUT / "weights").read_text() == "1"
    assert reason_to_remake(OUTPUT, spec(1, "another code")) == ""
    assert reason_to_remake(OUTPUT, spec(1, "a third code")) != ""


def test_a_change_that_another_job_accepted_does_not_count() -> None:
    make(1), make(2)
    other = OUTPUT.parents[2] / "other/seed-0/pretrain"
    accept(other, {"output": other.as_posix(), "from": NO_CODE, "to": "another code"})
    assert find(OUTPUT, spec(1, "another code")) is None


def test_what_was_made_otherwise_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many artifacts set aside, with files of gigabytes, the records tell which may be the one."""
    make(1), make(2), make(3)
    read = []
    monkeypatch.setattr(made, "differing", lambda directory: read.append(directory) or [])
    found = find(OUTPUT, spec(1))
    assert read == [found]


def test_one_that_another_process_takes_away_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [Path(f"artifacts/quick/models/{arm}/seed-0/pretrain") for arm in "ab"]
    for other in others:
        make(1, other)
    first, real = find(OUTPUT, spec(1)), made.differing

    def taken_away(directory: Path) -> list[str]:
        if directory == first:
            (directory / "weights").rename(directory / "gone")
        return real(directory)

    def listed(directory: Path) -> Iterator[str]:  # the folder was listed before the file went
        yield from (name.replace("gone", "weights") for name in files_below(directory))

    monkeypatch.setattr(made, "differing", taken_away)
    monkeypatch.setattr("pargo.manifest.files_below", listed)
    assert {first, find(OUTPUT, spec(1))} == set(others)


def test_folders_that_come_and_go_stop_no_search() -> None:
    make(1), make(2)
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            (KEPT / "models/x/arm/sub").mkdir(parents=True)
            shutil.rmtree(KEPT / "models/x")
            Path("artifacts/quick/models/x/seed-0").mkdir(parents=True)
            shutil.rmtree("artifacts/quick/models/x")

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(500):
            assert find(OUTPUT, spec(1)) is not None
    finally:
        stop.set()
        thread.join()
