from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

from vai.testing import Simulator

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]

    @property
    def rv(self) -> str:
        return str(self.json["metadata"]["resourceVersion"])


class Client:
    """Real HTTP by http.client, one connection per request."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def connect(self, timeout: float = 10) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.simulator.host, self.simulator.port, timeout=timeout)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = self.connect()
        sent = None if body is None else json.dumps(body)
        wanted = dict(headers or {})
        if sent is not None:
            wanted.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, sent, wanted)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path: str, accept: str = "", **headers: str) -> Answer:
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        if accept:
            wanted["Accept"] = accept
        return self.request("GET", path, headers=wanted)

    def watch(self, path: str, accept: str = "") -> Stream:
        return Stream(self, path, accept)


class Stream:
    """An open watch on a bare socket, whose events are read one by one.

    Attributes:
        status: The HTTP status.
        complete: True once the final chunk was seen.
    """

    def __init__(self, client: Client, path: str, accept: str) -> None:
        simulator = client.simulator
        self.sock = socket.create_connection((simulator.host, simulator.port), timeout=10)
        header = f"Accept: {accept}\r\n" if accept else ""
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
        self._raw = b""
        self._text = b""
        self.complete = False
        while b"\r\n\r\n" not in self._raw:
            self._receive()
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        self._decode()

    def _receive(self) -> bool:
        data = self.sock.recv(65536)
        self._raw += data
        return bool(data)

    def _decode(self) -> None:
        while b"\r\n" in self._raw:
            size_text, _, rest = self._raw.partition(b"\r\n")
            size = int(size_text, 16)
            if len(rest) < size + 2:
                return
            self._text += rest[:size]
            self._raw = rest[size + 2 :]
            self.complete = size == 0

    def line(self) -> bytes:
        """The next line; what is left of it when the stream ends."""
        while b"\n" not in self._text and not self.complete:
            if not self._receive():
                break
            self._decode()
        line, newline, self._text = self._text.partition(b"\n")
        return line + newline

    def next(self) -> Any:
        """The next event."""
        return json.loads(self.line())

    def silent(self, for_s: float = 0.3) -> bool:
        """True when nothing is left to be read and nothing arrives for a while."""
        if self._text or self._raw:
            return False
        self.sock.settimeout(for_s)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(10)
        return False

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=1, wait_s=0.1) as simulator:
        yield simulator


@pytest.fixture
def api(sim: Simulator) -> Client:
    return Client(sim)


def pod(name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "app:1"}]},
        "status": {"phase": "Running"},
    }


def config_map(name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "data": {"key": "value"},
    }
