"""The connection pool of the `kubernetes` package, with dead links noticed and reads that wake."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Self

from vai.config import Settings
from vai.kube.kubeconfig import Access

#: One connection for each watch and probe is kept; kubernetes' own default, five per core, would
#: throw most away. A pool entry that is not used is a None.
_POOL_SIZE: Final = 1024

#: So many bytes are counted at a time, and the rest at the end: of a list thousands of reads, of a
#: quiet watch its head and its bookmark.
_COUNT_BYTES: Final = 16 * 1024

_current: Final = threading.local()


class Exchange:
    """One request and its answer, which another thread may end.

    Attributes:
        received: is told how many bytes of the answer came from the connection.
        pace: waits until more of the answer may be read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._closed = False
        self._uncounted = 0
        self.received: Callable[[int], None] | None = None
        self.pace: Callable[[], None] | None = None

    def took(self, count_bytes: int) -> None:
        """Bytes of the answer came; called by whoever reads it."""
        self._uncounted += count_bytes
        if self._uncounted >= _COUNT_BYTES:
            self.settle()

    def settle(self) -> None:
        """Count what was not yet counted."""
        count_bytes, self._uncounted = self._uncounted, 0
        if count_bytes and self.received is not None:
            self.received(count_bytes)

    def is_closed(self) -> bool:
        """Whether somebody ended it."""
        return self._closed

    def attach(self, sock: socket.socket) -> None:
        """The request went out on this socket."""
        with self._lock:
            self._socket = sock
            if self._closed:
                _shut_down(sock)

    def limit(self, timeout_s: float) -> None:
        """Wait no longer than this for more bytes."""
        with self._lock:
            if self._socket is not None:
                self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """Wake whoever waits for its bytes."""
        with self._lock:
            self._closed = True
            if self._socket is not None:
                _shut_down(self._socket)

    def detach(self) -> None:
        """The connection went back to the pool: it is no longer this exchange's to end."""
        with self._lock:
            self._socket = None

    def __enter__(self) -> Self:
        """The connection that this thread uses from here on is this exchange's."""
        _current.exchange = self
        return self

    def __exit__(self, *_error: object) -> None:
        _current.exchange = None


def _shut_down(sock: socket.socket) -> None:
    # `SSLSocket.shutdown` drops its TLS state under the reader's feet; the plain one only wakes it.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Counted(io.RawIOBase):
    """What comes from a connection, counted, and read no faster than its exchange likes."""

    def __init__(self, raw: io.RawIOBase, exchange: Exchange) -> None:
        super().__init__()
        self._raw = raw
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        exchange = self._exchange
        if exchange.pace is not None:
            exchange.pace()
        count = self._raw.readinto(buffer)
        if count:
            exchange.took(count)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _CountedSocket:
    """All that HTTPResponse takes of a socket."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange

    def makefile(self, _mode: str) -> io.BufferedReader:
        raw: Any = self._sock.makefile("rb", buffering=0)
        return io.BufferedReader(_Counted(raw, self._exchange))


class _Response(http.client.HTTPResponse):
    """An answer whose bytes are counted from its first line on."""

    def __init__(self, sock: Any, *args: Any, **named: Any) -> None:
        exchange: Exchange | None = getattr(_current, "exchange", None)
        counted: Any = sock if exchange is None else _CountedSocket(sock, exchange)
        super().__init__(counted, *args, **named)


class _Tracked:
    """Of an HTTPConnection: tells the thread's exchange which socket its answer comes from."""

    sock: Any
    is_verified: bool
    accepts_unverified = False

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if self.accepts_unverified:
            # The kubeconfig says so, and kubectl does not warn of it either.
            self.is_verified = True

    def getresponse(self, *args: Any, **named: Any) -> Any:
        exchange: Exchange | None = getattr(_current, "exchange", None)
        if exchange is not None and self.sock is not None:
            exchange.attach(self.sock)
        return super().getresponse(*args, **named)  # type: ignore[misc]


def make_pool(
    access: Access, configuration: Any, context: ssl.SSLContext | None, settings: Settings
) -> Any:
    """A urllib3 PoolManager (or one for a proxy) as the `kubernetes` package would make it.

    Args:
        access: the chosen context.
        configuration: `kubernetes.client.Configuration`, loaded; says which proxy to use.
        context: for TLS.
        settings: for the times after which a silent link is dead.
    """
    from kubernetes.client.rest import RESTClientObject

    manager = RESTClientObject(configuration).pool_manager
    keywords = manager.connection_pool_kw
    for name in ("ca_certs", "ca_cert_data", "cert_file", "key_file"):
        keywords.pop(name, None)
    keywords["maxsize"] = _POOL_SIZE
    keywords["block"] = False
    keywords["socket_options"] = socket_options(settings.live_within_s)
    if context is not None:
        keywords["ssl_context"] = context
        keywords["cert_reqs"] = context.verify_mode
        if access.insecure:
            keywords["assert_hostname"] = False
        if access.cluster.get("tls-server-name"):
            keywords["server_hostname"] = access.cluster["tls-server-name"]
    manager.pool_classes_by_scheme = {
        scheme: _tracked(pool, access) for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def _tracked(pool: Any, access: Access) -> Any:
    kind = pool.ConnectionCls
    own = {"accepts_unverified": access.insecure, "response_class": _Response}
    connection = type(f"Tracked{kind.__name__}", (_Tracked, kind), own)
    return type(f"Tracked{pool.__name__}", (pool,), {"ConnectionCls": connection})


def socket_options(live_within_s: float) -> list[tuple[int, int, int]]:
    """Socket options that end a dead connection within the liveness limit.

    Idle for a third of the limit, then three keepalive probes a tenth apart: 19 of 30 s. Data that
    is not acknowledged for two thirds ends it as well: keepalive is silent while data is on its
    way (Linux tcp(7), TCP_USER_TIMEOUT). client-go sends keepalives after 30 s
    (transport/cache.go).
    """
    idle_s = max(1, int(live_within_s / 3))
    between_s = max(1, int(live_within_s / 10))
    unanswered_s = max(1, int(live_within_s * 2 / 3))
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
    # Where Python does not name a constant: xnu bsd/netinet/tcp.h.
    if sys.platform == "darwin":
        named = {0x10: idle_s, 0x101: between_s, 0x102: 3, 0x80: unanswered_s}
    else:
        named = {
            getattr(socket, "TCP_KEEPIDLE", 0): idle_s,
            getattr(socket, "TCP_KEEPINTVL", 0): between_s,
            getattr(socket, "TCP_KEEPCNT", 0): 3,
            getattr(socket, "TCP_USER_TIMEOUT", 0): unanswered_s * 1000,
        }
    return options + [(socket.IPPROTO_TCP, name, value) for name, value in named.items() if name]
