"""A hub of one model or dataset on loopback: the part of its protocol with which huggingface_hub fetches a snapshot."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.helpers.loopback import Handler, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """Files of one commit, and what goes wrong with them.

    Attributes:
        name: `owner/name`.
        large: kept by LFS, with a sha256; others have git's own hash.
        gated: refuses who has no token.
        cut: send so many bytes of the first reply with a larger file, then hang up.
        served: other bytes than the hashes are of.
        requests: path and headers.
    """

    files: dict[str, bytes]
    name: str = "owner/name"
    kind: str = "datasets"
    commit: str = COMMIT
    large: tuple[str, ...] = (".zip", ".tar", ".safetensors", ".parquet")
    gated: bool = False
    cut: int | None = None
    served: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def entry(self, path: str) -> dict[str, Any]:
        data = self.files[path]
        found: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
        if path.endswith(self.large):
            found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return found


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub_server(repository: Repository) -> Iterator[Repository]:
    class Files(Handler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            repository.requests.append((f"{self.command} {path}", dict(self.headers)))
            if repository.gated and not self.headers.get("Authorization"):
                return self._send(401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
            api = f"/api/{repository.kind}/{repository.name}"
            prefix = "" if repository.kind == "models" else f"/{repository.kind}"
            if path in (api, f"{api}/revision/{repository.commit}"):
                siblings = [{"rfilename": name} for name in repository.files]
                return self._json({"id": repository.name, "sha": repository.commit, "siblings": siblings})
            if path == f"{api}/tree/{repository.commit}":
                return self._json([repository.entry(name) for name in repository.files])
            found = re.fullmatch(re.escape(f"{prefix}/{repository.name}/resolve/{repository.commit}/") + "(.+)", path)
            if found and found[1] in repository.files:
                return self._file(found[1], with_body)
            known = path.startswith(api)
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})

        def _file(self, name: str, with_body: bool) -> None:
            data, entry = repository.served.get(name, repository.files[name]), repository.entry(name)
            etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
            head = {"ETag": f'"{etag}"', "X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
            if "lfs" in entry:
                head |= {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(entry["size"])}
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            if asked:
                head["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            cut, limit = False, len(data)
            if with_body and repository.cut is not None and len(data) > repository.cut:
                cut, limit, repository.cut = True, repository.cut, None
            self._send(206 if asked else 200, data[start:], head, with_body, limit)
            if cut:
                self.close_connection = True
                self.connection.close()

        def _json(self, value: Any) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send(
            self, status: int, body: bytes, head: dict[str, str], with_body: bool = True, limit: int | None = None
        ) -> None:
            self.send_response(status)
            for key, value in head.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body[:limit])
                self.wfile.flush()

    with serving(Files) as repository.url:
        yield repository
