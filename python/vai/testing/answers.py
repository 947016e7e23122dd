"""How answers are written, as kube-apiserver does: whole or in pieces, packed, or damaged."""

from __future__ import annotations

import http.server
import json
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vai.testing.faults import Damage
from vai.testing.link import Connection
from vai.testing.negotiate import takes_plain_json
from vai.testing.requests import Request, flag
from vai.testing.status import ApiError

if TYPE_CHECKING:
    from vai.testing.log import LoggedRequest
    from vai.testing.simulator import Simulator

# responsewriters/writers.go: defaultGzipThresholdBytes, defaultGzipContentEncodingLevel.
GZIP_THRESHOLD_BYTES = 128 * 1024
_GZIP_LEVEL = 1
# net/http: an answer smaller than this gets a Content-Length, a larger one is chunked.
_CONTENT_LENGTH_BYTES = 2048
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Answerer(http.server.BaseHTTPRequestHandler):
    """The writing half of a connection."""

    protocol_version = "HTTP/1.1"
    simulator: Simulator
    connection_: Connection
    entry: LoggedRequest

    def __init__(self, connection: Connection, simulator: Simulator) -> None:
        self.simulator = simulator
        self.connection_ = connection
        super().__init__(connection.sock, connection.sock.getpeername(), None)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing is printed; the request log has it."""

    def _pretty(self, request: Request) -> bool:
        # negotiate.go isPrettyPrint: asked for, or a person's tool.
        if "pretty" in request.query:
            return flag(request.query["pretty"])
        return request.user_agent.startswith(("curl", "Wget", "Mozilla/5.0"))

    def _reply(self, request: Request, reply: Reply) -> None:
        body = reply.body
        if reply.content_type.startswith(JSON) and body and self._pretty(request):
            body = indented(body)
        damage = self.simulator.faults.damage(request)
        self._whole(reply.status, body, damage, reply.content_type, reply.headers)

    def _error(self, request: Request, error: ApiError) -> None:
        if isinstance(error, PlainNotFoundError):
            headers = (("X-Content-Type-Options", "nosniff"),)
            self._whole(404, b"404 page not found\n", None, "text/plain; charset=utf-8", headers)
            return
        body = error.body()
        # Errors are negotiated without transformations; where that fails, WriteRawJSON indents.
        raw = not takes_plain_json(self.headers.get("Accept", ""))
        if raw or self._pretty(request):
            body = indented(body)
        retry: tuple[tuple[str, str], ...] = ()
        if error.retry_after_s:
            retry = (("Retry-After", str(error.retry_after_s)),)
        if error.code == 403:
            retry = (*retry, ("X-Content-Type-Options", "nosniff"))
        self._whole(error.code, body, None, JSON, retry)

    def _whole(
        self,
        status: int,
        body: bytes,
        damage: Damage | None,
        content_type: str = JSON,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        if damage is Damage.MALFORMED:
            body = malformed(body)
        if damage is None and len(body) >= _CONTENT_LENGTH_BYTES:
            self._stream(iter([body]), status, content_type, headers)
            return
        length = [] if status == 304 else [("Content-Length", str(len(body)))]
        if damage is Damage.TRUNCATED:
            body = body[: len(body) // 2]
            self.close_connection = True
        self._begin(status, [*length, *headers], content_type)
        self._write(body)

    def _stream(
        self,
        pieces: Iterator[bytes],
        status: int = 200,
        content_type: str = JSON,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """A body of unknown length, compressed when it is large and the client wants it."""
        first = b""
        for piece in pieces:
            first += piece
            if len(first) > GZIP_THRESHOLD_BYTES:
                break
        extra = list(headers)
        if len(first) > GZIP_THRESHOLD_BYTES and self._wants_gzip():
            extra += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
            self._begin(status, [*extra, ("Transfer-Encoding", "chunked")], content_type)
            packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 31)
            for piece in _chain(first, pieces):
                self._chunk(packer.compress(piece))
            self._chunk(packer.flush())
            self._write(b"0\r\n\r\n")
            return
        if len(first) < _CONTENT_LENGTH_BYTES:
            extra.append(("Content-Length", str(len(first))))
            self._begin(status, extra, content_type)
            self._write(first)
            return
        self._begin(status, [*extra, ("Transfer-Encoding", "chunked")], content_type)
        for piece in _chain(first, pieces):
            self._chunk(piece)
        self._write(b"0\r\n\r\n")

    def _wants_gzip(self) -> bool:
        accepted = self.headers.get("Accept-Encoding", "")
        return self.simulator.gzip and "gzip" in [part.strip() for part in accepted.split(",")]

    def _begin(
        self, status: int, headers: Iterable[tuple[str, str]], content_type: str = JSON
    ) -> None:
        self.entry.status = status
        self.send_response_only(status)
        self.send_header("Audit-Id", str(uuid.uuid4()))
        listed = list(headers)
        if not any(name == "Cache-Control" for name, _ in listed):
            self.send_header("Cache-Control", "no-cache, private")
        self.send_header("Content-Type", content_type)
        for name, value in listed:
            self.send_header(name, value)
        self.send_header("Date", self.date_time_string())
        if self.close_connection:
            self.send_header("Connection", "close")
        self.simulator.link.gate(self.connection_)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        if data:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
            self.entry.bytes_sent -= len(b"%x\r\n\r\n" % len(data))

    def _write(self, data: bytes) -> None:
        self.simulator.link.gate(self.connection_)
        self.wfile.write(data)
        if data != b"0\r\n\r\n":
            self.entry.bytes_sent += len(data)


class PlainNotFoundError(ApiError):
    """The mux's answer to a path that nothing serves: text, not a Status."""

    def __init__(self) -> None:
        super().__init__(404, "NotFound", "404 page not found")


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def malformed(data: bytes) -> bytes:
    """The same bytes with one opening brace, that of some metadata, turned into rubbish."""
    key = b'"metadata":'
    found = data.find(key + b"{", len(data) // 4)
    position = found + len(key) if found >= 0 else data.find(b"{")
    return data[:position] + b"!" + data[position + 1 :]


def indented(body: bytes) -> bytes:
    """JSON for people, as ``pretty=true`` has it."""
    text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    for char, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(char, escape)
    return text.encode("utf-8", "surrogatepass")
