"""The link between clients and the server, which can be cut and restored on the same port."""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading
from collections.abc import Callable

_BACKLOG = 128
_LINGER_RESET = struct.pack("ii", 1, 0)


class Cut(enum.Enum):
    """How a link is cut.

    Attributes:
        RESET: Open connections are reset, new ones refused, as when the server's process died.
        HANG: Open connections stay open and silent, new ones are accepted and silent, as when
            etcd is dead under a living kube-apiserver, or packets are dropped on the way.
    """

    RESET = "reset"
    HANG = "hang"


# Another name that people use for the same symptom.
_ALIASES = {"blackhole": "hang"}


class LinkDownError(ConnectionError):
    """The connection is to be closed without another byte."""


class Connection:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.dead = False

    def kill(self) -> None:
        """Wake whoever reads or writes; the close that follows resets the connection."""
        self.dead = True
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RD)

    def hung_up(self) -> bool:
        """True when the client closed its side."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True


class Link:
    """The listening socket and all connections that came through it."""

    def __init__(self, host: str, port: int, serve: Callable[[Connection], None]) -> None:
        self._serve = serve
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._connections: set[Connection] = set()
        self._closed = False
        self._down = False
        self._socket = self._bind(host, port)
        self.host, self.port = self._socket.getsockname()[:2]
        self._wake_out, self._wake_in = socket.socketpair()
        self._socket.listen(_BACKLOG)
        self._thread = threading.Thread(
            target=self._accept, name="vai-simulator-accept", daemon=True
        )
        self._thread.start()

    @staticmethod
    def _bind(host: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.settimeout(0.0)
        return sock

    # Serving ----------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closed:
            with self._lock:
                listening = None if self._down else self._socket
            try:
                ready = self._wait(listening)
            except (ValueError, OSError):
                continue  # the listening socket was replaced or closed just now
            if self._wake_out in ready:
                self._wake_out.recv(64)
            if listening is not None and listening in ready:
                self._take(listening)

    def _wait(self, listening: socket.socket | None) -> set[object]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_out, selectors.EVENT_READ)
            if listening is not None:
                selector.register(listening, selectors.EVENT_READ)
            return {key.fileobj for key, _ in selector.select()}

    def _take(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except OSError:
            return
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock)
        with self._lock:
            if self._down or self._closed:
                connection.kill()
                sock.close()
                return
            self._connections.add(connection)
        threading.Thread(
            target=self._run, args=(connection,), name="vai-simulator-serve", daemon=True
        ).start()

    def _run(self, connection: Connection) -> None:
        try:
            self._serve(connection)
        except (ConnectionError, TimeoutError):
            pass  # The client went away, or the link was cut: nothing is left to be answered.
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.sock.close()

    def gate(self, connection: Connection) -> None:
        """Wait while the link hangs; called before anything is read on or written.

        Raises:
            LinkDownError: The connection is to be dropped.
        """
        while not self._open.wait(0.2):
            if connection.dead:
                break
        if connection.dead:
            raise LinkDownError

    @property
    def connections(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._connections)

    # Cutting ----------------------------------------------------------------------------------

    def cut(self, mode: Cut | str = Cut.RESET) -> None:
        """Take the link down."""
        kind = Cut(_ALIASES.get(mode, mode)) if isinstance(mode, str) else mode
        if kind is Cut.HANG:
            self._open.clear()
            return
        with self._lock:
            if not self._down:
                self._down = True
                # A bound socket that does not listen refuses connections and keeps the port.
                self._socket.close()
                self._socket = self._bind(self.host, self.port)
        self._wake()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Reset every open connection; new ones are still accepted."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.kill()

    def restore(self) -> None:
        """Bring the link up again, on the same port."""
        with self._lock:
            if self._down:
                self._down = False
                self._socket.listen(_BACKLOG)
        self._open.set()
        self._wake()

    @property
    def up(self) -> bool:
        """True when the link is neither cut nor hanging."""
        return not self._down and self._open.is_set()

    def close(self) -> None:
        """Close the socket and every connection, for good."""
        with self._lock:
            self._closed = True
            self._socket.close()
        self.drop_connections()
        self._open.set()
        self._wake()
        self._thread.join(timeout=2)
        self._wake_in.close()
        self._wake_out.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_in.send(b"x")
