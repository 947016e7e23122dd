"""How answers are written, as kube-apiserver does: whole or in pieces, packed, or damaged."""

from __future__ import annotations

import http.server
import json
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vai.testing.faults import Taken
from vai.testing.kinds import Fault, Kind
from vai.testing.link import Connection
from vai.testing.negotiate import takes_plain_json
from vai.testing.objects import malformed
from vai.testing.requests import Request, flag
from vai.testing.status import ApiError
from vai.testing.wire import drips, pause, reset

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
    #: The fault that the request has met, and until when its bytes are slow.
    taken: Taken | None = None
    slow_until: float = 0.0

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
        self._whole(reply.status, body, reply.content_type, reply.headers, taken=self.taken)

    def _error(self, request: Request, error: ApiError) -> None:
        if isinstance(error, PlainNotFoundError):
            headers = (("X-Content-Type-Options", "nosniff"),)
            self._whole(404, b"404 page not found\n", "text/plain; charset=utf-8", headers)
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
        self._whole(error.code, body, JSON, retry)

    def _whole(
        self,
        status: int,
        body: bytes,
        content_type: str = JSON,
        headers: Iterable[tuple[str, str]] = (),
        *,
        taken: Taken | None = None,
    ) -> None:
        fault = taken.fault if taken is not None else None
        if fault is None and len(body) >= _CONTENT_LENGTH_BYTES:
            self._stream(iter([body]), status, content_type, headers)
            return
        first, rest = body, b""
        if fault is not None:
            first, rest = spoilt(body, fault)
        size = len(first) if fault is not None and fault.kind is Kind.TRUNCATED else len(body)
        length = [] if status == 304 else [("Content-Length", str(size))]
        if fault is not None and fault.kind is Kind.CUT:
            self.close_connection = True
        self._begin(status, [*length, *headers], content_type)
        self._write(first)
        if taken is not None and rest:
            self._break(taken, rest)

    def _break(self, taken: Taken, rest: bytes) -> None:
        """A part of the body is out; `rest` is what would follow."""
        if taken.fault.kind is Kind.RESET:
            reset(self.connection_)
        if taken.fault.kind is Kind.STALL:
            pause(self.connection_, taken)
            self._write(rest)

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

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date header, by the server's own clock."""
        moment = time.time() if timestamp is None else timestamp
        return super().date_time_string(moment + self.simulator.skew_s)

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
        taken = self.taken
        if taken is not None and taken.fault.kind is Kind.SLOW:
            for piece in drips(data, taken, self.slow_until):
                self.wfile.write(piece)
        else:
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


def spoilt(body: bytes, fault: Fault) -> tuple[bytes, bytes]:
    """What of a body is sent under a fault, and what would follow."""
    if fault.kind is Kind.MALFORMED:
        return malformed(body), b""
    in_body = fault.kind in {Kind.CUT, Kind.STALL, Kind.TRUNCATED}
    if not in_body and not (fault.kind is Kind.RESET and fault.part is not None):
        return body, b""
    cut = int(len(body) * (0.5 if fault.part is None else fault.part))
    return body[:cut], body[cut:]


def indented(body: bytes) -> bytes:
    """JSON for people, as ``pretty=true`` has it."""
    text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    for char, escape in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):
        text = text.replace(char, escape)
    return text.encode("utf-8", "surrogatepass")
