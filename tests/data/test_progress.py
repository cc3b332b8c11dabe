"""Progress: silent when quick, plain lines without a terminal, and the items pass through untouched."""

import io
import sys

import pytest

from pargo import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_quick_work_is_silent(capsys):
    assert list(progress.track(range(5), "Work")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("items", "of"), [([7, 8, 9], "/3"), (iter([7, 8, 9]), "")])
def test_plain_lines_without_a_terminal(monkeypatch, capsys, items, of):
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    assert list(progress.track(items, "Work")) == [7, 8, 9]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"Work: 1{of}"
    assert lines[-1].startswith("Work: 3 done in")


def test_a_bar_in_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "DELAY", -1.0)
    assert list(progress.track([1, 2], "Work")) == [1, 2]
    assert "Work" in terminal.getvalue()
