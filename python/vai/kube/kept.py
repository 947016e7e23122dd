"""Requests over a connection that stands already, for what is asked again every few seconds.

A quiet scope costs one short watch after the other, and most of what each cost was Python's HTTP
client making a request and an answer from scratch. Over a connection that urllib3 has opened and
kept, a GET is one write, and `vai.store.HttpAnswer` reads what comes back. All the rest stays
urllib3's: proxies, TLS, connecting and what goes wrong there.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from urllib3.exceptions import ProtocolError

from vai.kube.pool import Exchange
from vai.store import HttpAnswer

#: A TLS record has no more (RFC 8446, 5.1), and `recv` makes room for as much as it may take.
_RECORD_BYTES: Final = 16 * 1024
#: What may stand in a request's first line and in its headers (RFC 9110, 5.5; as `http.client`).
_TARGET: Final = re.compile(r"[!-~]+")
_HEADER: Final = re.compile(r"[ -~\t\x80-\xff]*")


class Kept:
    """An answer whose head has come; what `HttpResponse` takes of urllib3's."""

    def __init__(
        self,
        pool: Any,
        connection: Any,
        exchange: Exchange,
        answer: HttpAnswer,
        begun: bytes,
    ) -> None:
        self.status = answer.status
        self.headers = answer.headers()
        self._pool = pool
        self._connection = connection
        self._exchange = exchange
        self._answer = answer
        self._begun = begun

    def stream(self, _amount: int, **_options: Any) -> Iterator[bytes]:
        """The body as it comes, not decoded."""
        begun, self._begun = self._begun, b""
        if begun:
            yield begun
        answer, sock = self._answer, self._connection.sock
        while not answer.is_whole:
            chunk = sock.recv(_RECORD_BYTES)
            self._exchange.took(len(chunk))
            if body := answer.push(chunk) if chunk else self._end():
                yield body

    def _end(self) -> bytes:
        try:
            self._answer.finish()
        except ValueError as error:
            raise ProtocolError(str(error)) from None
        return b""

    def close(self) -> None:
        """Give it up."""
        self._connection.close()

    def release_conn(self) -> None:
        """The connection is free: for others, if it can be used again."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._answer.is_reusable:
            connection.close()
        self._pool._put_conn(connection)  # noqa: SLF001


class Way(NamedTuple):
    """How requests reach the server.

    Attributes:
        pool: urllib3's connection pool of the server; where there is a proxy, its manager of all.
        prefix: what comes before their paths there.
        host: for the Host header; None where only urllib3 knows what to write.
    """

    pool: Any
    prefix: str
    host: str | None


def way_to(manager: Any, server: str) -> Way:
    """By the server's own pool, where there is no proxy.

    The manager would take the whole address apart again for each request, a fifth of what the
    client's part of a watch costs.
    """
    if manager.proxy is not None:
        return Way(manager, server, None)
    address = urlsplit(server)
    host = address.netloc.rpartition("@")[2]
    known = host if _TARGET.fullmatch(host) else None
    return Way(manager.connection_from_url(server), address.path, known)


def ask_kept(
    way: Way,
    target: str,
    headers: Sequence[tuple[str, str]],
    silence_s: float,
    exchange: Exchange,
) -> Kept | None:
    """GET over a connection that the pool has kept; None if it has none, or it takes urllib3.

    Args:
        way: to the server; the pool's connections are lent and given back.
        target: path and query, encoded.
        headers: as they are sent; a name may come several times.
        silence_s: longest wait for bytes.
        exchange: counts the bytes, and may end it.

    Raises:
        ProtocolError: the connection broke before the answer came; on another one it may.
        OSError: there was no answer in time.
    """
    pool, prefix, host = way
    request = None if host is None else _encoded(host, prefix + target, headers)
    if request is None:
        return None
    connection = pool._get_conn()  # noqa: SLF001
    sock: socket.socket | None = getattr(connection, "sock", None)
    if sock is None:
        pool._put_conn(connection)  # noqa: SLF001
        return None
    try:
        sock.settimeout(silence_s)
        exchange.attach(sock)
        sock.sendall(request)
        answer, begun = _head(sock, exchange)
    except BaseException as error:
        with suppress(OSError):
            connection.close()
        pool._put_conn(connection)  # noqa: SLF001
        if isinstance(error, TimeoutError) or not isinstance(error, OSError | ValueError):
            raise
        raise ProtocolError("the connection broke before an answer", error) from None
    return Kept(pool, connection, exchange, answer, begun)


def _head(sock: socket.socket, exchange: Exchange) -> tuple[HttpAnswer, bytes]:
    """Read until the head is there; what of the body came with it."""
    answer, begun = HttpAnswer(), b""
    while answer.status is None:
        chunk = sock.recv(_RECORD_BYTES)
        exchange.took(len(chunk))
        if not chunk:
            answer.finish()
        begun = answer.push(chunk)
    return answer, begun


def _encoded(host: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes | None:
    """The request; None if something in it needs a closer look."""
    if not _TARGET.fullmatch(target) or not all(_HEADER.fullmatch(value) for _, value in headers):
        return None
    lines = [f"{name}: {value}\r\n" for name, value in headers]
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{''.join(lines)}\r\n".encode("latin-1")
