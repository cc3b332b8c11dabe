"""A real HTTP server on loopback that speaks as much of the chat API as a judge needs, and misbehaves on request."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ID = re.compile(r"question (v1_\d+)")
HANG = "hang"
DROP = "drop"
CUT = "cut"
FAST_RETRY = {"retry-after-ms": "1"}

# status, headers, body; or HANG (silence), DROP (no reply at all) or CUT (half a reply)
Response = tuple[int, dict[str, str], bytes] | str


def completion(text: Any, model: str = "judge-1") -> Response:
    """A chat completion that says `text`."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": model, "choices": choices}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def failure(status: int, message: str = "no") -> Response:
    """An error as the API reports it; the client need not wait before it tries again."""
    body = json.dumps({"error": {"message": message, "type": "t", "code": "c"}}).encode()
    return status, {"Content-Type": "application/json", **FAST_RETRY}, body


@dataclass
class Server:
    """`respond` gets a question's id and how often it has been asked, from 1 on."""

    respond: Callable[[str, int], Response]
    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0

    @property
    def num_requests(self) -> int:
        return sum(self.asked.values())


@contextmanager
def judge_server(respond: Callable[[str, int], Response]) -> Iterator[Server]:
    server = Server(respond)
    lock, stop, busy = threading.Lock(), threading.Event(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = ID.findall(body["messages"][0]["content"])
            identifier = found[-1] if found else "?"
            with lock:
                busy[0] += 1
                server.most_at_once = max(server.most_at_once, busy[0])
                server.asked[identifier] += 1
                server.bodies.append(body)
                server.keys.add(self.headers["Authorization"])
                count = server.asked[identifier]
            if self.path == "/v1/chat/completions":
                response = server.respond(identifier, count)
            else:
                response = failure(404, f"no {self.path}")
            if response == HANG:
                stop.wait(60)
            with lock:
                busy[0] -= 1
            if isinstance(response, str):
                if response == CUT:
                    self.send_response(200)
                    self.send_header("Content-Length", "500")
                    self.end_headers()
                    self.wfile.write(b'{"id": ')
                self.close_connection = True
                return
            status, headers, data = response
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    http = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        http.shutdown()
        http.server_close()


def slowly(response: Response, seconds: float) -> Response:
    time.sleep(seconds)
    return response
