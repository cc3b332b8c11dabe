"""An OpenAI-compatible server of captions on loopback that goes wrong in every way, as a process of its own.

`python fault_server.py FOLDER SHARE [ALWAYS]` writes its port to FOLDER/port and a line for each request to
FOLDER/requests. An image is told by the alt text in the prompt. What goes wrong depends on the image and on how often
it was asked; ALWAYS (JSON) says what goes wrong whenever these images are asked about, `*` whatever the image is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path

FAULTS = ("429", "429 later", "500", "503", "hang", "garbage", "html", "cut", "drop", "half json", "no choices")
PLAIN = "-1"  # the engine's own picture, which comes without a hint
FINAL = ("content_filter", "tool_calls", "empty", "400")  # of an image, each time


def draw(*what: object) -> float:
    """From 0 to 1, always the same for the same."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:4], "big") / 2**32


def final(identifier: str) -> str | None:
    """What the server says of this image whenever it is asked; None: a caption."""
    if identifier == PLAIN:
        return None
    return FINAL[int(identifier) % len(FINAL)] if draw("final", identifier) < 0.01 else None


def completion(content: object, reason: object = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 9, "total_tokens": 109}
    return json.dumps({"id": "x", "object": "chat.completion", "created": 0, "model": "vlm-2", "choices": [choice],
                       "usage": usage}).encode()  # fmt: skip


class Server:
    def __init__(self, folder: Path, share: float, always: dict[str, str]) -> None:
        self.share, self.always = share, always
        self.asked: Counter[str] = Counter()
        self.log = (folder / "requests").open("a", buffering=1)

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        found = re.search(r"<text>alt (\d+)[^<]*</text>", body.decode())
        identifier = f"{int(found[1]):06d}" if found else PLAIN
        self.asked[identifier] += 1
        print(identifier, file=self.log)
        fault = self.always.get(identifier, self.always.get("*")) or final(identifier)
        if fault is None and draw(identifier, self.asked[identifier]) < self.share:
            fault = FAULTS[int(draw("which", identifier, self.asked[identifier]) * len(FAULTS))]
        await asyncio.sleep(0.005)
        return await self.answer(writer, identifier, fault)

    async def answer(self, writer: asyncio.StreamWriter, identifier: str, fault: str | None) -> bool:
        status, headers, body = "200 OK", "", completion(f"A picture with number {int(identifier)} in it.")
        if fault == "hang":
            await asyncio.sleep(30)
            return False
        if fault == "drop":
            writer.transport.abort()
            return False
        if fault in ("400", "429", "429 later", "500", "503"):
            status = f"{fault.split()[0]} Trouble"
            headers = "Retry-After: 0.3\r\n" if fault == "429 later" else ""
            body = b'{"error": {"message": "trouble"}}'
        elif fault == "garbage":
            body = b"\xff\xfe{{"
        elif fault == "html":
            headers, body = "X-Y: 1\r\n", b"<html>busy</html>"
        elif fault == "half json":
            body = body[:40]
        elif fault == "no choices":
            body = b'{"choices": []}'
        elif fault in ("content_filter", "tool_calls"):
            body = completion("", fault)
        elif fault and fault.startswith("reason "):
            body = completion("", fault.removeprefix("reason "))
        elif fault == "empty":
            body = completion("  ")
        elif draw("length", identifier) < 0.02:
            body = completion("A picture with number", "length")
        kind = "text/html" if fault == "html" else "application/json"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + (body[: len(body) // 2] if fault == "cut" else body))
        await writer.drain()
        if fault == "cut":
            writer.transport.abort()
        return fault != "cut"


async def main(folder: Path, share: float, always: str = "{}") -> None:
    server = await asyncio.start_server(
        Server(folder, share, json.loads(always)).connection, "127.0.0.1", 0, backlog=512
    )
    (folder / "port.new").write_text(str(server.sockets[0].getsockname()[1]))
    (folder / "port.new").rename(folder / "port")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]))
