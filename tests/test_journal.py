"""Journals: whatever a kill or a full disk leaves, whole lines are kept, torn ones are not, and damage is an error."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pargo import journal as module
from pargo.benchmarks.answering.saved import Answer, SavedAnswers
from pargo.benchmarks.mmvet.judge_log import Finished, GradeLog
from pargo.captions.records import RecordFile
from pargo.captions.samples import Caption
from pargo.errors import PargoError
from pargo.jobs.record import Attempts
from pargo.journal import Journal, read_journal
from pargo.notes import append_note, read_notes

VALUES = st.text(max_size=9) | st.integers() | st.none()
ROWS = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=2), max_size=4)
FAST = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def disk_is_not_waited_for(monkeypatch):
    """What is in a file does not depend on it, and thousands of waits take a minute."""
    monkeypatch.setattr(module.os, "fsync", lambda file: None)


def opened(path: Path, **options: float) -> Journal:
    return Journal(path, use="tests it", **options)


def rows(path: Path) -> list[dict]:
    return [line.row for line in read_journal(path)]


def write(path: Path, content: list[dict]) -> bytes:
    with opened(path) as journal:
        for row in content:
            journal.append(row)
    return path.read_bytes()


@FAST
@given(ROWS, ROWS)
def test_lines_come_back_in_order_with_their_places(tmp_path_factory, disk_is_not_waited_for, first, second):
    path = tmp_path_factory.mktemp("j") / "deep" / "j.jsonl"
    write(path, first)
    data = write(path, second)
    lines = list(read_journal(path))
    assert [line.row for line in lines] == [*first, *second]
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert [data[line.place : line.place + len(line.data)] for line in lines] == [line.data for line in lines]
    assert b"".join(line.data for line in lines) == data
    assert [json.loads(line) for line in data.splitlines()] == [*first, *second]  # JSON Lines, whatever is in a row
    with opened(path) as journal:
        assert list(journal.lines()) == lines


@FAST
@given(ROWS, st.integers(1, 40))
def test_cut_at_any_byte_it_goes_on_behind_the_last_whole_line(
    tmp_path_factory, monkeypatch, disk_is_not_waited_for, content, block
):
    monkeypatch.setattr(module, "_BLOCK", block)  # the end of a line is sought block by block
    path = tmp_path_factory.mktemp("j") / "j.jsonl"
    data = write(path, content)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = content[: data[:cut].count(b"\n")]
        assert [line.row for line in read_journal(path, growing=True)] == whole
        if cut and data[cut - 1 : cut] != b"\n":
            with pytest.raises(PargoError, match=rf"j\.jsonl:{len(whole) + 1}: damaged"):
                rows(path)
        with opened(path) as journal:
            assert [line.row for line in journal.lines()] == whole
            journal.append({"new": "line"})
        assert rows(path) == [*whole, {"new": "line"}]


def test_zeros_that_a_lost_power_leaves_are_a_torn_line(tmp_path):
    path = tmp_path / "j.jsonl"
    data = write(path, [{"a": 1}])
    path.write_bytes(data + bytes(100_000))
    assert write(path, [{"b": 2}]) == data + b'{"b": 2}\n'


DAMAGE = [b"", b"{", b"nonsense", b"[]", b"1", b'{"a": 1}{"b": 2}', b"\xff\xfe", b"\0" * 9, b"[" * 100_000]


@pytest.mark.parametrize("line", DAMAGE, ids=lambda line: repr(line[:9]))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_damage_before_the_end_is_named_and_left(tmp_path, line, place):
    path = tmp_path / "j.jsonl"
    lines = [b'{"a": 1}', b'{"b": 2}']
    lines.insert(place, line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    before = path.read_bytes()
    message = rf"j\.jsonl:{place + 1}: damaged; remove the line, or the file to begin anew$"
    for growing in (False, True):
        with pytest.raises(PargoError, match=message):
            list(read_journal(path, growing=growing))
    with opened(path) as journal, pytest.raises(PargoError, match=message):
        list(journal.lines())
    assert path.read_bytes() == before


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "j.jsonl"
    with opened(path), pytest.raises(PargoError, match="is in use: another process tests it"):
        opened(path)
    with opened(path) as journal:
        path.rename(tmp_path / "aside")
        with opened(path) as other:  # another file
            other.append({"a": 1})
        journal.append({"b": 2})
    assert (rows(path), rows(tmp_path / "aside")) == ([{"a": 1}], [{"b": 2}])


def test_a_file_that_is_replaced_while_it_is_opened(tmp_path, monkeypatch):
    path, real = tmp_path / "j.jsonl", module.fcntl.flock

    def flock(file, how):
        real(file, how)
        path.rename(tmp_path / "aside")

    monkeypatch.setattr(module.fcntl, "flock", flock)
    with pytest.raises(PargoError, match="in use"):
        opened(path)


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(PargoError, match=r"cannot write .*file/j\.jsonl: "):
        opened(tmp_path / "file" / "j.jsonl")
    with pytest.raises(PargoError, match=r"cannot write .*: Is a directory"):
        opened(tmp_path)
    with pytest.raises(PargoError, match=r"cannot read .*: No such file"):
        rows(tmp_path / "none")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    with pytest.raises(PargoError, match=r"cannot write .*: No locks available"):
        opened(tmp_path / "j.jsonl")


def test_a_line_is_on_disk_when_it_should_be(tmp_path, monkeypatch):
    synced, real = [], os.fsync
    monkeypatch.setattr(module.os, "fsync", lambda file: (synced.append(1), real(file)))
    for interval, expected in ((0.0, 5), (3600.0, 0)):
        with opened(tmp_path / str(interval), sync_interval=interval) as journal:
            synced.clear()
            for number in range(5):
                journal.append({"a": number})
            assert len(synced) == expected
        assert len(synced) == expected + 1  # at the end, always
        journal.close()


def test_a_line_that_does_not_fit_is_not_half_there(tmp_path, monkeypatch):
    path = tmp_path / "j.jsonl"
    data, real = write(path, [{"a": 1}]), os.write
    with opened(path) as journal:
        monkeypatch.setattr(module.os, "write", lambda file, line: real(file, line[: len(line) // 2]))
        with pytest.raises(PargoError, match=r"cannot write .*: No space left on device; what is written stays"):
            journal.append({"b": 2})
        assert path.read_bytes() == data
    monkeypatch.undo()
    assert write(path, [{"c": 3}]) == data + b'{"c": 3}\n'


@FAST
@given(ROWS)
def test_notes_cut_at_any_byte_lose_one_line_at_most(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("j") / "notes.jsonl"
    assert read_notes(path) == []
    for row in content:
        append_note(path, row)
    assert read_notes(path) == content
    data = path.read_bytes() if content else b""
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        append_note(path, {"new": 1})
        kept = data[:cut].count(b"\n") + (data[cut : cut + 1] == b"\n")  # all but its end is there
        assert read_notes(path) == [*content[:kept], {"new": 1}]


def test_an_attempt_that_a_kill_tore_does_not_take_the_next_one_with_it(tmp_path):
    attempts = Attempts(tmp_path)
    attempts.add("1", "failed")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"job": "2", "cau')
    attempts.add("3", "failed")
    assert attempts.count("failed") == 2
    assert [attempts.last(job) for job in "123"] == ["failed", "", "failed"]


WRITER = """
import itertools, sys
from pathlib import Path
from pargo.journal import Journal
with Journal(Path(sys.argv[1]), use="tests it", sync_interval=float(sys.argv[2])) as journal:
    start = sum(1 for _ in journal.lines())
    for number in itertools.count(start):
        journal.append({"number": number, "text": "x" * (number % 997)})
        print(number, flush=True)
"""


@pytest.mark.parametrize("interval", ["0", "3600"])
def test_kills_lose_no_line_that_was_appended(tmp_path, interval):
    path, told = tmp_path / "j.jsonl", -1
    for kill in range(3):
        command = [sys.executable, "-c", WRITER, str(path), interval]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in itertools.islice(process.stdout, 20 + kill):
                told = int(line)
            time.sleep(0.005 * kill)
            process.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        found = [line.row["number"] for line in read_journal(path, growing=True)]
        assert found == list(range(len(found)))
        assert len(found) > told


def answers(path: Path) -> list[str]:
    with SavedAnswers(path, "spec") as saved:
        found = list(saved.answers)
        saved.add({"new": Answer("ä", {"A": (0.5, 2)})})
    assert list(SavedAnswers.read(path).answers) == [*found, "new"]
    return found


def captions(path: Path) -> list[str]:
    with RecordFile(path, "spec") as records:
        found = list(records.finished)
        records.add(Caption("new", "ä"), "key")
    return found


def grades(path: Path) -> list[str]:
    with GradeLog(path) as log:
        found = list(log.finished)
        log.add(Finished(request="new", id="i", run=0, prompt="p", model="m", content="ä", score=0.5))
    return found


GRADE = {"id": "i", "run": 0, "prompt": "p", "model": "m", "content": "ä", "score": 1}
USERS = {
    answers: [{"spec": "spec"}, *({name: [f"{name} ä", {"A": [0.5, 2]}]} for name in "abc")],
    captions: [{"spec": "spec"}, *({"id": name, "caption": f"{name} ä", "input": "key"} for name in "abc")],
    grades: [{"request": name} | GRADE for name in "abc"],
}


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.__name__)
def test_each_user_goes_on_from_a_file_cut_at_any_byte(tmp_path, disk_is_not_waited_for, user):
    path, headers = tmp_path / "j.jsonl", sum("spec" in row for row in USERS[user])
    data = "".join(json.dumps(row) + "\n" for row in USERS[user]).encode()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = max(0, data[:cut].count(b"\n") - headers)
        assert user(path) == list("abc"[:whole])
        assert path.read_bytes().startswith(data[: data[:cut].rfind(b"\n") + 1])
        assert len(rows(path)) == headers + whole + 1


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.__name__)
@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"x": 1}', b""])
def test_each_user_names_a_damaged_line_and_leaves_the_file(tmp_path, user, line):
    path = tmp_path / "j.jsonl"
    lines = [json.dumps(row).encode() for row in USERS[user]]
    lines[2] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    before = path.read_bytes()
    for _ in range(2):  # nor is it left locked
        with pytest.raises(PargoError, match=r"j\.jsonl:3: .*; remove the line, or the file to begin anew$"):
            user(path)
    assert path.read_bytes() == before
