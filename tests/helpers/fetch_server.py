"""A file server on loopback that speaks ranges and goes wrong on request, as a process of its own or in a thread."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.helpers.loopback import Handler, serving


@dataclass
class Served:
    """One file and how it is served.

    Attributes:
        script: what to do with each request, in order; then `ok`. A number that begins with 0 cuts the reply after so
            many bytes; `404`, ... is a status; `no range` answers a range with the whole file; `wrong part` with
            another part; `slow` waits between blocks.
    """

    data: bytes
    etag: str | None = '"one"'
    script: list[str] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    sent: int = 0


@contextmanager
def file_server(served: Served) -> Iterator[Served]:
    stop = threading.Event()

    class Faulty(Handler):
        def do_GET(self) -> None:
            served.requests.append(dict(self.headers))
            what = served.script.pop(0) if served.script else "ok"
            if what.isdecimal() and int(what) in range(300, 600) and not what.startswith("0"):
                self.send_response(int(what))
                if what == "302":
                    self.send_header("Location", served.url)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data, start = served.data, 0
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            fresh = self.headers.get("If-Range") in (None, served.etag)
            if asked and fresh and what != "no range":
                start = int(asked[1])
                if start >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                shown = start + 1 if what == "wrong part" else start
                self.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            if served.etag:
                self.send_header("ETag", served.etag)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            end = start + int(what) if what.startswith("0") else len(data)
            for place in range(start, min(end, len(data)), 8192):
                block = data[place : min(place + 8192, end)]
                self.wfile.write(block)
                served.sent += len(block)
                if what == "slow":
                    stop.wait(0.02)
            if what.startswith("0"):
                self.close_connection = True

    with serving(Faulty) as url:
        served.url = f"{url}/file.bin"
        try:
            yield served
        finally:
            stop.set()
