"""A copy that is kept through an HTTP proxy, as `proxy-url` of a kubeconfig names it."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

import vai
from tests.apiserver.server import ApiServer
from tests.faults.history import kept
from tests.faults.processes import wait_until
from tests.faults.test_bad_answers import pod, same, wait_live
from tests.integration.real import listed
from vai.config import Settings
from vai.testing import Simulator

WHO: Final = "me:s3cret"


class HttpProxy:
    """Forwards what is asked for by a whole URL, and tunnels what CONNECT names."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                head = f"GET {url.path}?{url.query} HTTP/1.1\r\nConnection: close\r\n"
                kept_back = {"connection", "proxy-authorization"}
                for name, value in self.headers.items():
                    head += "" if name.lower() in kept_back else f"{name}: {value}\r\n"
                proxy.relay(self, url.netloc, f"{head}\r\n".encode())

            def do_CONNECT(self) -> None:
                proxy.relay(self, self.path, b"")

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://{WHO}@127.0.0.1:{self._server.server_port}"

    def relay(self, handler: Any, target: str, first: bytes) -> None:
        self.asked.append(f"{handler.command} {target}")
        handler.close_connection = True
        expected = "Basic " + base64.b64encode(WHO.encode()).decode()
        if handler.headers.get("Proxy-Authorization") != expected:
            handler.send_error(407)
            return
        host, _, port = target.rpartition(":")
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, int(port))) as server,
        ):
            if first:
                server.sendall(first)
            else:
                handler.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                upwards = (handler.connection, server)
                threading.Thread(target=_pump, args=upwards, daemon=True).start()
            _pump(server, handler.connection)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    # As with kubectl, the kubeconfig's word counts more.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = HttpProxy()
    yield made
    made.close()


def through(proxy: HttpProxy, config: Path, **settings: Any) -> Settings:
    known = json.loads(config.read_text())
    known["clusters"][0]["cluster"]["proxy-url"] = proxy.url
    config.write_text(json.dumps(known))
    return Settings(kubeconfig=str(config), live_within_s=9, **settings)


@pytest.mark.parametrize("streaming", ["never", "always"])
def test_a_copy_is_kept_through_a_proxy(
    sim: Simulator, proxy: HttpProxy, tmp_path: Path, streaming: str
) -> None:
    sim.apply(*(pod(f"p-{i}") for i in range(5)))
    config = through(proxy, sim.kubeconfig(tmp_path / "kc"), streaming_lists=streaming)
    with vai.connect(tmp_path / "c.db", ["pods"], settings=config) as cache:
        wait_live(cache)
        sim.apply(pod("p-0", "Failed"))
        wait_until(lambda: same(cache, sim))
    assert {line.partition(" ")[0] for line in proxy.asked} == {"GET"}


@pytest.mark.slow
def test_a_real_server_is_reached_through_a_tunnel(
    victim: ApiServer, proxy: HttpProxy, tmp_path: Path
) -> None:
    config = through(proxy, victim.write_kubeconfig(path=tmp_path / "kc"))
    with vai.connect(tmp_path / "c.db", ["namespaces"], settings=config) as cache:
        wait_live(cache)
        assert kept(cache, "namespaces") == listed(victim, "/api/v1/namespaces")[1]
    assert {line.partition(" ")[0] for line in proxy.asked} == {"CONNECT"}
