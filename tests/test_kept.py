"""Whatever a kill or a full disk interrupts: the old artifact or the new one is in its place, or restorable."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pargo.code import ROOT
from pargo.graph.gc import list_kept, remove
from pargo.kept import KEPT, kept, new_place, set_aside
from pargo.layout import manifest_path
from pargo.made import reason_to_remake
from pargo.manifest import verify
from pargo.store import bring, find, restore
from tests.helpers.faults import FILES, OTHER, OUTPUT, make, run, spec

MANY = 4  # calls: an operation that has fewer was not interrupted
IN_PLACE = ["arm", "arm.manifest.json"]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)


def is_there(text: str) -> bool:
    """As it would be made; nothing wrong passes for it."""
    if reason_to_remake(OUTPUT, spec(text)):
        return False
    verify(OUTPUT)
    assert [(OUTPUT / "sub" / name).read_text() for name in FILES] == [text * 100] * len(FILES)
    return True


def is_safe(text: str) -> bool:
    """Is it in its place, or can it be restored?"""
    found = find(OUTPUT, spec(text))
    if found is not None:
        verify(found)
    return is_there(text) or found is not None


def names() -> list[str]:
    return sorted(path.name for path in OUTPUT.parent.iterdir())


def one_is_kept() -> None:
    make(OUTPUT, "new")
    make(OUTPUT, "old")


def another_config_has_one() -> None:
    make(OUTPUT, "old")
    make(OTHER, "new")


def old_alone() -> None:
    make(OUTPUT, "old")


CASES: dict[str, tuple[str, Callable[[], None], set[str]]] = {
    "publish": ("publish", old_alone, {"old"}),
    "restore what was set aside": ("restore", one_is_kept, {"old", "new"}),
    "restore what another config has": ("restore", another_config_has_one, {"old", "new"}),
    "set aside": ("set_aside", old_alone, {"old"}),
}


ENDED = {"kill": (-signal.SIGKILL,), "full": (errno.ENOSPC, 0), "interrupt": (130,)}  # by a full disk nothing need end


@pytest.mark.parametrize("fault", ["kill", "full", "interrupt"])
@pytest.mark.parametrize("case", CASES)
def test_interrupted_anywhere(project: Path, monkeypatch: pytest.MonkeyPatch, case: str, fault: str) -> None:
    operation, begin, there_before = CASES[case]
    for at in itertools.count(1):
        folder = project / str(at)
        folder.mkdir()
        monkeypatch.chdir(folder)
        begin()
        code = run(folder, operation, fault, at)
        if code == 0 and at > MANY:
            return
        assert code in ENDED[fault], at
        assert {text for text in ("old", "new") if is_safe(text)} >= there_before, at
        if fault == "full" and operation == "publish":
            assert is_there("old"), at
        if operation == "set_aside":
            continue
        # the next run, as `pargo.jobs.run` does it
        if not is_there("new") and not restore(OUTPUT, spec("new")):
            make(OUTPUT, "new")
        assert is_there("new")
        assert is_safe("old")
        with new_place(OUTPUT):
            pass
        assert names() == IN_PLACE


def test_a_disk_that_is_really_full() -> None:
    """A limit on the size of files stands in for it: the kernel writes a part of the last one."""
    make(OUTPUT, "old")
    code = """
import resource, signal
from tests.helpers.faults import OUTPUT
from pargo.manifest import publish
with publish(OUTPUT, settings={"text": "new"}) as folder:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    (folder / "weights").write_bytes(b"0" * 5000)
"""
    assert "File too large" in python("-c", code).stderr
    assert is_there("old")
    assert names() == IN_PLACE


def test_what_another_process_is_making_is_no_leftover() -> None:
    code = """
import time
from pargo.kept import new_place
from tests.helpers.faults import OUTPUT
with new_place(OUTPUT):
    print(flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        make(OUTPUT, "new")
        (place,) = OUTPUT.parent.glob(".arm.*")
    finally:
        process.kill()
        process.wait()
    make(OUTPUT, "new")
    assert not place.exists()


def test_two_take_what_was_set_aside_at_once() -> None:
    """One gets it, and the other is told so; both places stay whole."""
    make(OUTPUT, "new")
    found = set_aside(OUTPUT)
    assert found is not None
    make(OUTPUT, "old")
    make(OTHER, "old")
    assert bring(found, OTHER)
    assert not bring(found, OUTPUT)
    assert is_there("old")
    assert restore(OUTPUT, spec("new")) == OTHER
    assert is_there("new")


def test_damage_in_one_place_changes_no_other() -> None:
    make(OTHER, "new")
    assert restore(OUTPUT, spec("new")) == OTHER
    with (OUTPUT / "sub" / FILES[0]).open("r+") as file:
        file.truncate(1)
    verify(OTHER)
    assert restore(OUTPUT, spec("new")) == OTHER
    assert is_there("new")


def test_one_that_is_made_anew_meanwhile_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    make(OUTPUT, "old")
    make(OTHER, "new")
    copy = shutil.copytree

    def slow_copy(*arguments: object, **options: object) -> object:
        done = copy(*arguments, **options)  # type: ignore[call-overload]
        make(OTHER, "another")
        return done

    monkeypatch.setattr(shutil, "copytree", slow_copy)
    assert not bring(OTHER, OUTPUT)
    assert is_there("old")
    assert names() == IN_PLACE


PAUSED = """
import sys
from tests.helpers.faults import OUTPUT, spec
from pargo.kept import set_aside
from pargo.store import restore

def pause(event, arguments):
    if event == "os.rename" and str(arguments[%d]).startswith(".pargo/kept/"):
        print(flush=True)
        sys.stdin.readline()

sys.addaudithook(pause)
%s
"""


@pytest.mark.parametrize(
    ("begin", "code"),
    [(old_alone, PAUSED % (1, "set_aside(OUTPUT)")), (one_is_kept, PAUSED % (0, 'restore(OUTPUT, spec("new"))'))],
    ids=["set aside", "restore"],
)
def test_gc_waits_for_what_is_being_moved(begin: Callable[[], None], code: str) -> None:
    begin()
    rows = list_kept()
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, env=environment, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()  # just before the move
        gc = threading.Thread(target=remove, args=(rows,))
        gc.start()
        gc.join(0.5)
        other.communicate("\n" * 9)
        gc.join()
    assert other.returncode == 0
    assert len(kept()) == 1
    assert is_there("new") or begin is old_alone


def test_on_another_disk(project: Path) -> None:
    shared = Path("/dev/shm")  # noqa: S108
    if not shared.is_dir() or shared.stat().st_dev == project.stat().st_dev:
        pytest.skip("no second disk here")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        (project / ".pargo").symlink_to(folder)
        one_is_kept()
        assert kept()[0].stat().st_dev == shared.stat().st_dev
        assert restore(OUTPUT, spec("new"))
        assert is_there("new")
        assert is_safe("old")


def test_what_is_no_artifact_of_a_project_is_not_kept() -> None:
    place = Path("elsewhere/model")
    make(place, "old")
    make(place, "new")
    assert not KEPT.exists()
    assert (place / "sub" / FILES[0]).read_text() == "new" * 100
    assert manifest_path(place).is_file()
