"""As much of an image service as Cinder's client needs where nobody asks for tokens."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TEXT = {"type": ["null", "string"]}
_NUMBER = {"type": ["null", "integer"]}
_TEXTS = (
    "id",
    "name",
    "status",
    "visibility",
    "owner",
    "checksum",
    "disk_format",
    "container_format",
    "created_at",
    "updated_at",
)
_SCHEMA = {
    "name": "image",
    "properties": {
        **dict.fromkeys((*_TEXTS, "file", "schema", "self", "os_hash_algo", "os_hash_value"), _TEXT),
        **dict.fromkeys(("size", "virtual_size", "min_disk", "min_ram"), _NUMBER),
        "protected": {"type": "boolean"},
        "os_hidden": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "additionalProperties": {"type": "string"},
}


class Images:
    """A running image service; `contents` holds what was put in, by id."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        handler = type("Handler", (_Handler,), {"images": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Images:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, name: str, data: bytes) -> str:
        """Put a raw image in and return its id."""
        record = self.record({"name": name, "disk_format": "raw", "container_format": "bare"})
        self.keep(record["id"], data)
        return str(record["id"])

    def record(self, given: dict[str, Any]) -> dict[str, Any]:
        identifier = given.pop("id", None) or str(uuid.uuid4())
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        place = f"/v2/images/{identifier}"
        made = dict.fromkeys(_TEXTS) | {"size": None, "virtual_size": None, "min_disk": 0, "min_ram": 0, "protected": False}
        made |= {"id": identifier, "status": "queued", "visibility": "public", "owner": "0", "created_at": now, "updated_at": now}
        made |= {"os_hidden": False, "tags": [], "file": f"{place}/file", "schema": "/v2/schemas/image", "self": place}
        self.records[identifier] = made | given
        return self.records[identifier]

    def keep(self, identifier: str, data: bytes) -> None:
        self.contents[identifier] = data
        sums = {"checksum": hashlib.md5(data).hexdigest(), "os_hash_value": hashlib.sha512(data).hexdigest()}
        self.records[identifier] |= {"status": "active", "size": len(data), "os_hash_algo": "sha512", **sums}


class _Handler(BaseHTTPRequestHandler):
    images: Images
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in {"/", "/versions"}:
            version = {"id": "v2.9", "status": "CURRENT", "links": [{"rel": "self", "href": f"{self.images.url}/v2/"}]}
            self._answer(200 if path == "/versions" else 300, {"versions": [version]})
        elif path == "/v2/schemas/image":
            self._answer(200, _SCHEMA)
        elif (found := self._named(path)) is None:
            self._absent()
        elif path.endswith("/file"):
            self._answer(200, self.images.contents[found["id"]])
        else:
            self._answer(200, found)

    def do_POST(self) -> None:
        self._answer(201, self.images.record(json.loads(b"".join(self._body()))))

    def do_PUT(self) -> None:
        found, data = self._named(self.path), b"".join(self._body())
        if found is None:
            self._absent()
            return
        self.images.keep(found["id"], data)
        self._answer(204, b"")

    def do_PATCH(self) -> None:
        found, changes = self._named(self.path), json.loads(b"".join(self._body()))
        if found is None:
            self._absent()
            return
        for change in changes:
            found[change["path"].strip("/")] = change.get("value")
        self._answer(200, found)

    def do_DELETE(self) -> None:
        found = self._named(self.path)
        if found is not None:
            del self.images.records[found["id"]]
        self._answer(204, b"")

    def _named(self, path: str) -> dict[str, Any] | None:
        match = re.fullmatch(r"/v2/images/([^/]+)(/file)?", path)
        return self.images.records.get(match[1]) if match else None

    def _absent(self) -> None:
        # The client trips over JSON here.
        self._answer(404, b"no such image")

    def _answer(self, status: int, body: Any) -> None:
        plain = isinstance(body, bytes)
        data = body if plain else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if plain else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
