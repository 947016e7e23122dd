"""A TCP link between a client and a server that can be taken down in different ways."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Final, Self

_CHUNK_BYTES: Final = 65536
_STEP_S: Final = 0.05
#: SO_LINGER with zero seconds: close sends RST instead of FIN.
_RESET: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to a port of 127.0.0.1, from a port of its own; one thread."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._servers: set[socket.socket] = set()
        self._silent: list[socket.socket] = []
        self._dropping = self._closed = self._stalled = False
        self._bytes_per_s: int | None = None
        self._listener: socket.socket | None = None
        self.port = 0
        self.accepted = 0
        #: Bytes that came from the server and that went to it.
        self.received = self.sent = 0
        self._listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Every connection ends with a FIN, and new ones are refused."""
        with self._lock:
            self._end_all(reset=False)
            self._unlisten()

    def reset(self) -> None:
        """Every connection ends with a RST; new ones are taken."""
        with self._lock:
            self._end_all(reset=True)

    def blackhole(self) -> None:
        """From now on nothing comes through in either direction, and nobody is told.

        The connections stay open: this side's kernel goes on acknowledging what is sent, as a
        middlebox does that has lost its state on the other side. New ones are taken, too.
        """
        with self._lock:
            self._dropping = True

    def stall(self) -> None:
        """Nothing comes through until it is restored; then all of it does."""
        self._stalled = True

    def throttle(self, bytes_per_s: int) -> None:
        """About so much comes through."""
        self._bytes_per_s = bytes_per_s

    def restore(self) -> None:
        """New connections come through. Those of a blackhole are lost, still without a word."""
        self._stalled, self._bytes_per_s = False, None
        with self._lock:
            for sock in list(self._peers):
                if self._dropping:
                    self._forget(sock)
                    self._silent.append(sock)
            self._dropping = False
            self._listen()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._end_all(reset=True)
            self._unlisten()
            for sock in self._silent:
                sock.close()
        self._thread.join(5)
        self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the thread

    def _run(self) -> None:
        while not self._closed:
            if self._stalled or self._bytes_per_s is not None:
                time.sleep(_STEP_S)
            for key, _ in [] if self._stalled else self._selector.select(_STEP_S):
                with self._lock, contextlib.suppress(OSError, ValueError, KeyError):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        if self._listener is None:
            return
        client, _ = self._listener.accept()
        self.accepted += 1
        if self._dropping:
            self._silent.append(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            client.close()
            return
        self._servers.add(server)
        for one, other in ((client, server), (server, client)):
            self._peers[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, sock: socket.socket) -> None:
        if sock not in self._peers:
            return
        peer = self._peers[sock]
        try:
            rate = self._bytes_per_s
            data = sock.recv(_CHUNK_BYTES if rate is None else max(1, int(rate * _STEP_S)))
            if data and not self._dropping:
                # Blocks while the other side does not read: enough for tests.
                peer.sendall(data)
                if sock in self._servers:
                    self.received += len(data)
                else:
                    self.sent += len(data)
        except OSError:
            data = b""
        if data:
            return
        self._forget(sock)
        if self._dropping:
            # Its end is not told either.
            self._silent += [sock, peer]
        else:
            sock.close()
            peer.close()

    def _forget(self, sock: socket.socket) -> None:
        for one in (sock, self._peers.get(sock)):
            if one is not None and self._peers.pop(one, None) is not None:
                self._selector.unregister(one)
                self._servers.discard(one)

    def _end_all(self, *, reset: bool) -> None:
        for sock in list(self._peers):
            self._forget(sock)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()

    def _listen(self) -> None:
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _unlisten(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self._selector.unregister(listener)
            listener.close()
