"""Fetching from a real server that goes wrong: a file is whole and right, or it is not there."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pargo.errors import PargoError
from pargo.fetch.http import fetch
from tests.helpers.fetch_server import Served, file_server
from tests.helpers.loopback import Handler, serving

DATA = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()
CUT = "0100000"  # after so many bytes
CODE = """
import sys
from pathlib import Path
from pargo.fetch.http import fetch
fetch([sys.argv[1]], Path(sys.argv[2]), sha256=sys.argv[3] or None)
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def served():
    with file_server(Served(DATA)) as server:
        yield server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "deep" / "file.bin"


def quickly(*arguments, **options):
    waits: list[float] = []
    return fetch(*arguments, sleep=waits.append, **options), waits


def only(target: Path) -> bool:
    """Nothing but the file, and the lock that is kept for the next one."""
    return {path.name for path in target.parent.iterdir()} == {target.name, f".{target.name}.lock"}


@pytest.mark.parametrize(
    ("script", "requests"),
    [
        ([], 1),
        ([CUT], 2),
        ([CUT, CUT, CUT], 3),  # the third time less is missing
        (["302"], 2),
        (["503", "429", "500"], 4),
        ([CUT, "no range"], 2),
        ([CUT, "wrong part"], 3),
        (["00"], 2),
    ],
)
@pytest.mark.parametrize("pinned", [True, False])
def test_it_comes_in_the_end(served, target, script, requests, pinned):
    served.script = list(script)
    found, _ = quickly([served.url], target, **({"sha256": SHA256, "size": len(DATA)} if pinned else {}))
    assert found == (len(DATA), SHA256)
    assert target.read_bytes() == DATA
    assert len(served.requests) == requests
    assert only(target)


def test_a_cut_stream_is_continued_not_repeated(served, target):
    served.script = [CUT, CUT]
    quickly([served.url], target)
    assert served.sent == len(DATA)
    assert [head.get("Range") for head in served.requests] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_file_that_changes_on_the_server_is_never_mixed(served, target):
    other = DATA[::-1]
    served.script = [CUT]

    def change(seconds: float) -> None:
        served.data, served.etag = other, '"two"'

    assert fetch([served.url], target, sleep=change).sha256 == hashlib.sha256(other).hexdigest()
    assert target.read_bytes() == other
    assert served.requests[1]["If-Range"] == '"one"'


def test_without_a_version_only_a_pinned_file_is_continued(served, target):
    served.etag = None
    served.script = [CUT]
    quickly([served.url], target)
    assert "Range" not in served.requests[1]
    target.unlink()
    served.requests.clear()
    served.script = [CUT]
    quickly([served.url], target, sha256=SHA256)
    assert "Range" in served.requests[1]


def test_a_changed_file_without_a_version_is_found_by_its_hash(served, target):
    served.etag = None
    served.script = [CUT]

    def change(seconds: float) -> None:
        served.data = DATA[::-1]

    with pytest.raises(PargoError, match="is not the pinned file"):
        fetch([served.url], target, sha256=SHA256, sleep=change)
    assert not target.exists()
    assert not list(target.parent.glob("*.partial"))


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 7}, {"size": len(DATA) + 1}])
def test_another_file_than_the_pinned_one(served, target, wrong):
    with pytest.raises(PargoError, match=r"not the pinned file|the pinned one"):
        quickly([served.url], target, **wrong)
    assert {path.name for path in target.parent.iterdir()} <= {".file.bin.lock"}


@pytest.mark.parametrize(("status", "hint"), [("404", "HTTP 404"), ("401", "a login"), ("403", "terms to be accepted")])
def test_an_address_that_does_not_give_it(served, target, status, hint):
    served.script = [status]
    with pytest.raises(PargoError, match=hint):
        quickly([served.url], target)
    assert not target.exists()


def test_the_next_mirror_continues(served, target):
    with file_server(Served(DATA, script=["404"])) as missing, file_server(Served(b"other")) as wrong:
        found, _ = quickly([missing.url, wrong.url, served.url], target, sha256=SHA256)
    assert found.sha256 == SHA256
    assert (len(missing.requests), len(wrong.requests), len(served.requests)) == (1, 1, 1)


@pytest.mark.parametrize("pinned", [True, False])
def test_killed_just_before_its_name_it_is_not_fetched_again(served, target, pinned):
    partial = target.with_name(".file.bin.partial")
    target.parent.mkdir(parents=True)
    partial.write_bytes(DATA)
    partial.with_name(".file.bin.partial.json").write_text('{"version": "\\"one\\""}')
    quickly([served.url], target, **({"size": len(DATA), "sha256": SHA256} if pinned else {}))
    assert served.sent == 0
    assert target.read_bytes() == DATA
    assert only(target)


def test_a_part_of_a_wrong_mirror_is_not_held_against_the_right_one(served, target):
    served.etag = None
    with file_server(Served(DATA[::-1], etag=None, script=[CUT, "404"])) as wrong:
        fetch([wrong.url, served.url], target, sha256=SHA256, sleep=lambda seconds: None)
    assert target.read_bytes() == DATA


def test_no_progress_ends_it_and_keeps_what_is_there(served, target):
    served.script = [CUT, *["503"] * 20]
    with pytest.raises(PargoError, match=r"HTTP 503 \(6 times in a row without progress\).*100,000 bytes"):
        quickly([served.url], target)
    served.script.clear()
    quickly([served.url], target)
    assert served.requests[-1]["Range"] == "bytes=100000-"
    assert target.read_bytes() == DATA


def test_waits_grow_and_are_bounded(served, target):
    served.script = ["503"] * 5
    _, waits = quickly([served.url], target)
    assert all(2**place * 0.5 <= wait <= 2**place for place, wait in enumerate(waits))


def test_a_file_that_is_there_is_not_asked_for(served, target):
    quickly([served.url], target, sha256=SHA256)
    before = len(served.requests)
    quickly([served.url], target, sha256=SHA256)
    assert len(served.requests) == before
    target.write_bytes(b"changed")
    with pytest.raises(PargoError, match="is left as it is: remove it to have it fetched anew"):
        quickly([served.url], target, sha256=SHA256)
    assert target.read_bytes() == b"changed"


def start(served: Served, target: Path, sha256: str = SHA256) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CODE, served.url, str(target), sha256], stderr=subprocess.PIPE)


def test_killed_in_the_middle_it_goes_on(served, target):
    served.script = ["slow"]
    process = start(served, target)
    partial = target.with_name(".file.bin.partial")
    end = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size > 20_000):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not target.exists()
    have = partial.stat().st_size
    quickly([served.url], target)
    assert served.requests[-1]["Range"] == f"bytes={have}-"
    assert target.read_bytes() == DATA


def test_two_processes_fetch_it_once(served, target):
    served.script = ["slow", "slow"]
    processes = [start(served, target) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert len(served.requests) == 1
    assert target.read_bytes() == DATA


def test_a_full_disk(served, target):
    """A limit on the size of files stands in for the disk's; it is the kernel that refuses."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, "-c", CODE, served.url, str(target), SHA256]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=limit, timeout=60)
    assert done.returncode == 1
    assert "PargoError: no room in" in done.stderr
    assert not target.exists()
    quickly([served.url], target, sha256=SHA256)
    assert served.requests[-1]["Range"] == "bytes=50000-"
    assert target.read_bytes() == DATA


def test_more_than_the_disk_has_is_refused_at_once(served, target):
    with pytest.raises(PargoError, match=r"no room in .*: 1000000000\.00 GB are needed"):
        fetch([served.url], target, size=10**18)
    assert not served.requests


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["00", "01", "08192", "0200000", "503", "no range", "wrong part", "302", "ok"]), max_size=5
    )
)
def test_whatever_happens_it_is_the_file(served, tmp_path_factory, script):
    target = tmp_path_factory.mktemp("any") / "file.bin"
    served.script = list(script)
    found, _ = quickly([served.url], target)
    assert found.sha256 == SHA256
    assert target.read_bytes() == DATA


def test_a_wrong_file_whose_stream_is_cut_each_time_is_given_up(served, target):
    served.script = ["050000", "ok"] * 50
    with pytest.raises(PargoError, match="is not the pinned file"):
        quickly([served.url], target, sha256="0" * 64)
    assert len(served.requests) <= 4


def test_a_reply_whose_end_nobody_knows_is_not_taken(target):
    class Closing(Handler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA[:1000])  # and the connection ends, as after all of it

    with serving(Closing) as url:
        with pytest.raises(PargoError, match="does not say how large the file is"):
            quickly([url], target)
        assert not target.exists()
        with pytest.raises(PargoError, match="is not the pinned file"):
            quickly([url], target, sha256=SHA256)


def test_a_part_of_another_file_is_not_appended(target):
    class Ignoring(Handler):
        """Gives parts whatever If-Range says; the file is replaced after the first request."""

        requests = 0

        def do_GET(self) -> None:
            type(self).requests += 1
            first, body = self.requests == 1, (b"A" if self.requests == 1 else b"B") * 100_000
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            self.send_header("ETag", '"a"' if first else '"b"')
            if start:
                self.send_header("Content-Range", f"bytes {start}-99999/100000")
            self.send_header("Content-Length", str(100_000 - start))
            self.end_headers()
            self.wfile.write(body[:30_000] if first else body[start:])
            self.close_connection = True

    with serving(Ignoring) as url:
        quickly([url], target)
    assert target.read_bytes() == b"B" * 100_000
