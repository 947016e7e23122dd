"""Requests over connections that urllib3 has opened and kept: nobody should see a difference."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from vai.config import Settings
from vai.errors import OfflineError
from vai.kube import Source, Transport
from vai.kube.kept import ask_kept, way_to
from vai.kube.kubeconfig import Access
from vai.kube.pool import Exchange
from vai.reflector.protocol import drain
from vai.testing import Simulator
from vai.types import Resource

PODS = Resource(group="", version="v1", plural="pods", kind="Pod", verbs=("list", "watch"))
WATCH = "/api/v1/pods"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'{"type":"BOOKMARK"}\n'
WHOLE = ANSWER + b"14\r\n" + EVENT + b"\r\n0\r\n\r\n"

#: What a server does with the requests of one connection, in their order: bytes that it sends, or
#: None to close it without a word.
Script = list[bytes | None]


class Scripted:
    """A server that does what it is told; it remembers the requests of each connection."""

    def __init__(self, listener: socket.socket, scripts: list[Script]) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.requests: list[list[bytes]] = []
        self._listener = listener
        self._scripts = scripts
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for script in self._scripts:
            connection, _ = self._listener.accept()
            with connection:
                self._serve(connection, script)

    def _serve(self, connection: socket.socket, script: Script) -> None:
        self.requests.append([])
        for answer in script:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                some = connection.recv(65536)
                if not some:
                    return
                request += some
            self.requests[-1].append(request)
            if answer is None:
                return
            connection.sendall(answer)
        # Until the other side goes: it must not be the end of the script that it sees.
        connection.recv(1)


@contextmanager
def scripted(*scripts: Script, **settings: Any) -> Iterator[tuple[Scripted, Transport]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(listener, list(scripts))
        access = Access(
            origin="kc",
            context="c",
            server=server.url,
            user={"token": "t", "as": "me", "as-groups": ["a", "b"]},
        )
        transport = Transport(access, Settings(**settings))
        try:
            yield server, transport
        finally:
            transport.close()


def watch(transport: Transport, **more: Any) -> bytes:
    return drain(transport.request(WATCH, {"watch": "true"}, verb="watch", **more).chunks())


def test_the_second_request_says_what_the_first_one_said() -> None:
    with scripted([WHOLE, WHOLE, WHOLE]) as (server, transport):
        for _ in range(3):
            assert watch(transport) == EVENT
        ((first, second, third),) = server.requests
    assert second == third
    # http.client and urllib3 write the same lines, in another order.
    assert sorted(second.split(b"\r\n")) == sorted(first.split(b"\r\n"))
    assert second.count(b"Impersonate-Group: ") == 2


def test_urllib3_is_not_asked_while_a_connection_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted([WHOLE, WHOLE, WHOLE]) as (server, transport):
        watch(transport)
        monkeypatch.setattr(transport._way.pool, "urlopen", None)
        assert [watch(transport), watch(transport)] == [EVENT, EVENT]
        assert len(server.requests) == 1


def test_what_is_large_or_asked_once_is_left_to_urllib3(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted([WHOLE, WHOLE]) as (_, transport):
        watch(transport)
        asked: list[str] = []
        pool = transport._way.pool
        usual: Callable[..., Any] = pool.urlopen

        def urlopen(method: str, target: str, **options: Any) -> Any:
            asked.append(target)
            return usual(method, target, **options)

        monkeypatch.setattr(pool, "urlopen", urlopen)
        drain(transport.request(WATCH, verb="list").chunks())
        assert asked == [WATCH]


def test_a_connection_that_the_server_closed_meanwhile_costs_one_more_request() -> None:
    with scripted([WHOLE, None], [WHOLE]) as (server, transport):
        watch(transport)
        assert watch(transport) == EVENT
        assert [len(requests) for requests in server.requests] == [2, 1]


@pytest.mark.parametrize(
    "nonsense", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_what_is_no_answer_is_asked_for_again_elsewhere(nonsense: bytes) -> None:
    with scripted([WHOLE, nonsense], [WHOLE]) as (_, transport):
        watch(transport)
        assert watch(transport) == EVENT


def test_a_silent_server_is_told_after_the_time_for_an_answer() -> None:
    with scripted([WHOLE, b""]) as (_, transport):
        watch(transport)
        with pytest.raises(OfflineError, match=r"^http://127.0.0.1:\d+: no answer in time$"):
            watch(transport, read_timeout_s=0.2)


@pytest.mark.parametrize("cut", [ANSWER, ANSWER + b"14\r\n" + EVENT[:5]])
def test_an_answer_that_is_cut_is_an_error_and_its_connection_is_left(cut: bytes) -> None:
    with scripted([WHOLE, cut], [WHOLE]) as (server, transport):
        watch(transport)
        response = transport.request(WATCH, {"watch": "true"}, verb="watch")
        got: list[bytes] = []
        sock = response._exchange._socket
        assert sock is not None
        sock.shutdown(socket.SHUT_RD)
        with pytest.raises(OfflineError, match="connection broken"):
            got.extend(response.chunks())
        assert b"".join(got) == EVENT[: 5 * (cut != ANSWER)]
        assert watch(transport) == EVENT
        assert len(server.requests) == 2


def test_a_connection_is_not_used_again_when_the_server_says_so() -> None:
    last = WHOLE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    with scripted([WHOLE, last], [WHOLE]) as (server, transport):
        for _ in range(3):
            assert watch(transport) == EVENT
        assert [len(requests) for requests in server.requests] == [2, 1]


def test_closing_wakes_who_waits_for_the_answer_or_for_more_of_it() -> None:
    for answer in (b"", ANSWER):
        with scripted([WHOLE, answer]) as (server, transport):
            watch(transport)
            raised: list[BaseException] = []

            def ask(transport: Transport = transport, raised: Any = raised) -> None:
                try:
                    watch(transport, read_timeout_s=60)
                except OfflineError as error:
                    raised.append(error)

            thread = threading.Thread(target=ask, daemon=True)
            thread.start()
            while len(server.requests[0]) < 2:
                threading.Event().wait(0.01)
            transport.close()
            thread.join(30)
            assert not thread.is_alive()
            assert len(raised) == (1 if answer == b"" else 0)


def test_bytes_are_counted_as_they_come() -> None:
    with scripted([WHOLE, WHOLE]) as (_, transport):
        watch(transport)
        first = transport.meter._kept[0, "watch"]
        watch(transport)
        both = transport.meter._kept[0, "watch"]
    assert (first.requests, both.requests) == (1, 2)
    assert both.received_bytes == 2 * first.received_bytes == 2 * len(WHOLE)


def test_there_is_no_way_around_a_proxy() -> None:
    with scripted([WHOLE, WHOLE]) as (proxy, _):
        access = Access(
            origin="kc",
            context="c",
            server="http://cluster.invalid",
            cluster={"server": "http://cluster.invalid", "proxy-url": proxy.url},
        )
        transport = Transport(access, Settings())
        assert [watch(transport), watch(transport)] == [EVENT, EVENT]
        assert transport._way.host is None
        transport.close()
        assert all(b"GET http://cluster.invalid/api" in one for one in proxy.requests[0])


def test_what_urllib3_would_refuse_or_rewrite_is_left_to_it() -> None:
    with scripted([WHOLE, WHOLE]) as (_, transport):
        watch(transport)
        way = transport._way
        asked = [("/a b", ()), ("/ü", ()), ("/a", (("X", "a\r\nY: b"),)), ("/a", (("X", "ш"),))]
        for target, headers in asked:
            assert ask_kept(way, target, headers, 1.0, Exchange()) is None
        assert way_to(transport._pool, "http://bücher.example").host is None


def test_a_simulated_watch_is_the_same_over_a_kept_connection(sim: Simulator) -> None:
    transport = Transport(Access(origin="kc", context="c", server=sim.url), Settings())
    source, position = Source(transport, PODS, table=False), str(sim.resource_version)
    meta = {"name": "web", "namespace": "shop"}
    sim.add({"apiVersion": "v1", "kind": "Pod", "metadata": meta})
    first, second = (drain(source.watch(position, 1).chunks()) for _ in range(2))
    assert b'"name":"web"' in second
    assert first == second
    transport.close()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3) as made:
        yield made
