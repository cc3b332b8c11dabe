"""Results on disk as they come: nothing is lost by a kill, nothing mixed, nothing asked twice."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pargo.captions.records import RecordFile, read_rows
from pargo.captions.samples import Caption, Failure
from pargo.errors import PargoError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "records.jsonl"


def test_what_is_finished_is_known_again(path):
    with RecordFile(path, "spec") as records:
        records.add(Caption("a", "ä caption"), "key")
        records.add(Failure("b", "refused: no", "permanent"), "key")
        records.add(Failure("c", "busy (6 tries)", "unavailable"), "key")
    with RecordFile(path, "spec") as records:
        assert records.finished == dict.fromkeys("ab", "key")
        records.add(Caption("c", "at last"), "key")
    with RecordFile(path, "spec") as records:
        assert records.finished == dict.fromkeys("abc", "key")
    rows = {name: json.loads(path.read_bytes()[place : place + size]) for name, place, size in read_rows(path)}
    assert [rows[name].get("caption") for name in "abc"] == ["ä caption", None, "at last"]


@given(st.integers(0, 400))
def test_a_file_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "records.jsonl"
    with RecordFile(path, "spec") as records:
        for name in "abc":
            records.add(Caption(name, "text"), "key")
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    whole = data[:cut].count(b"\n") - 1
    with RecordFile(path, "spec") as records:
        assert records.finished == dict.fromkeys("abc"[: max(0, whole)], "key")
        records.add(Caption("d", "more"), "key")
    assert [name for name, _, _ in read_rows(path)] == [*"abc"[: max(0, whole)], "d"]


def test_other_work_is_set_aside(path, capsys):
    with RecordFile(path, "one") as records:
        records.add(Caption("a", "text"), "key")
    old = path.read_bytes()
    with RecordFile(path, "two") as records:
        assert records.finished == {}
    assert "set aside" in capsys.readouterr().out
    (aside,) = [other for other in path.parent.iterdir() if other != path]
    assert aside.read_bytes() == old
    with RecordFile(path, "one") as records:
        assert records.finished == {"a": "key"}
    assert path.read_bytes() == old
    assert "used before" in capsys.readouterr().out
    with RecordFile(path, "two"), pytest.raises(PargoError, match="in use"):  # a file found again is locked as well
        RecordFile(path, "two")


def test_one_process_at_a_time(path):
    with RecordFile(path, "spec"), pytest.raises(PargoError, match="in use: another process makes the same captions"):
        RecordFile(path, "spec")
    with RecordFile(path, "spec"):
        pass


def test_a_damaged_line_is_named(path):
    with RecordFile(path, "spec") as records:
        records.add(Caption("a", "text"), "key")
    with path.open("a") as file:
        file.write("{nonsense\n")
    with pytest.raises(PargoError, match=r"records\.jsonl:3: damaged"):
        RecordFile(path, "spec")


def test_a_full_disk(monkeypatch, path):
    with RecordFile(path, "spec") as records:
        records.add(Caption("a", "text"), "key")
        real = records._journal._file
        records._journal._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115, PTH123
        with pytest.raises(PargoError, match="No space left on device; what is written stays"):
            records.add(Caption("b", "text"), "key")
        records._journal._file.close()
        records._journal._file = real
    with RecordFile(path, "spec") as records:
        assert records.finished == {"a": "key"}


def test_results_of_another_file_are_taken_where_they_are_of_the_same(path, tmp_path):
    other = tmp_path / "other.jsonl"
    with RecordFile(other, "spec") as records:
        for name in "abcde":
            records.add(Caption(name, "old"), f"key {name}")
        records.add(Failure("c", "busy", "unavailable"), "key c")
        records.add(Caption("d", "newer"), "key d")
    with other.open("ab") as file:
        file.write(b'{"id": "f", "caption"')  # another process is writing it
    wanted = {"a": "key a", "b": "another image", "c": "key c", "d": "key d", "f": "key f"}
    with RecordFile(path, "spec") as records:
        records.adopt(other, "other spec", wanted)
        assert records.finished == {}
        records.adopt(other, "spec", wanted)
        assert records.finished == {"a": "key a", "d": "key d"}
    with RecordFile(path, "spec") as records:
        assert records.finished == {"a": "key a", "d": "key d"}
    rows = {name: json.loads(path.read_bytes()[place : place + size]) for name, place, size in read_rows(path)}
    assert [row["caption"] for row in rows.values()] == ["old", "newer"]


def test_a_line_that_does_not_fit_on_the_disk_is_not_half_there(tmp_path):
    """The kernel writes a part of it; a limit on the size of files stands in for the disk's."""
    code = """
import resource, signal, sys
from pathlib import Path
from pargo.captions.records import RecordFile
from pargo.captions.samples import Caption
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with RecordFile(Path(sys.argv[1]), "spec") as records:
    for number in range(9):
        records.add(Caption(str(number), "x" * 100), "key")
"""
    path = tmp_path / "records.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "PargoError: cannot write" in done.stderr.splitlines()[-1]
    assert path.read_bytes().endswith(b"\n")
    with RecordFile(path, "spec") as records:
        assert 1 <= len(records.finished) < 9
        records.add(Caption("new", "text"), "key")
    assert [json.loads(line) for line in path.read_text().splitlines()]
