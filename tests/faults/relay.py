"""Stands before a simulated API server: answers in its place, changes requests, cuts answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

_CHUNK_BYTES = 4096

#: From a path with its query: content type and body to answer in the server's place, or None.
Answer = Callable[[str], tuple[str, bytes] | None]


class Relay:
    """Forwards HTTP requests to a port of 127.0.0.1, each over a connection of its own.

    Attributes:
        answer: what to say instead of the server.
        rewrite: another path for a request.
        cut_after: the bytes of an answer (with its head) after which its connection is reset.
        asked: every path.
    """

    def __init__(self, port: int) -> None:
        self.answer: Answer = lambda _path: None
        self.rewrite: Callable[[str], str] = lambda path: path
        self.cut_after: Callable[[str], int | None] = lambda _path: None
        self.asked: list[str] = []
        self._port = port
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                relay.serve(self)

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kubeconfig(self, path: Path) -> Path:
        """Names the relay as the cluster's server."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        path.write_text(
            '{"apiVersion": "v1", "kind": "Config", "current-context": "relay", '
            '"contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}], '
            f'"clusters": [{{"name": "relay", "cluster": {{"server": "{url}"}}}}], '
            '"users": [{"name": "relay", "user": {}}]}'
        )
        return path

    def serve(self, handler: Any) -> None:
        """One request, on a thread of its own."""
        self.asked.append(handler.path)
        handler.close_connection = True
        answer = self.answer(handler.path)
        if answer is not None:
            kind, body = answer
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            head += f"Content-Type: {kind}\r\n\r\n"
            handler.wfile.write(head.encode() + body)
            return
        with contextlib.suppress(OSError):
            self._forward(handler)

    def _forward(self, handler: Any) -> None:
        left = self.cut_after(handler.path)
        head = f"GET {self.rewrite(handler.path)} HTTP/1.1\r\nConnection: close\r\n"
        for name, value in handler.headers.items():
            if name.lower() != "connection":
                head += f"{name}: {value}\r\n"
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            server.sendall(f"{head}\r\n".encode())
            while data := server.recv(_CHUNK_BYTES):
                handler.connection.sendall(data if left is None else data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        break
        handler.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
