"""Objects, and clients that go on writing them."""

from __future__ import annotations

import contextlib
import random
import threading
from typing import Any, Self

from tests.apiserver.client import RequestError
from tests.apiserver.server import ApiServer

Json = dict[str, Any]


def config_map(namespace: str, name: str, value: str = "0", **labels: str) -> Json:
    """A ConfigMap with one value."""
    metadata = {"namespace": namespace, "name": name, "labels": {"app": "faults", **labels}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"value": value},
    }


def service_account(namespace: str, name: str, value: str = "0", **labels: str) -> Json:
    """A ServiceAccount with one annotation."""
    metadata = {"namespace": namespace, "name": name, "labels": {"app": "faults", **labels}}
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata | {"annotations": {"value": value}},
    }


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def collection(where: str, plural: str = "configmaps") -> str:
    return f"/api/v1/namespaces/{where}/{plural}"


class Writers:
    """Clients that create, change, relabel and delete objects at once until they are stopped.

    Each writes objects of its own, so none of their requests conflict. A request that fails
    because the server is away is tried again; whether it had been done is found out by the next.
    """

    def __init__(
        self, server: ApiServer, where: str, *, clients: int = 3, pause_s: float = 0.02
    ) -> None:
        self._server = server
        self._where = where
        self._pause_s = pause_s
        self._stopped = threading.Event()
        self.done = 0
        self.error: Exception | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)
        assert self.error is None, self.error

    def _run(self, number: int) -> None:
        numbers = random.Random(number)
        try:
            for turn in range(1_000_000):
                if self._stopped.wait(self._pause_s):
                    return
                with contextlib.suppress(OSError, RequestError):
                    self._write(numbers, f"w{number}-{numbers.randrange(60):02d}", turn)
                    self.done += 1
        except Exception as error:  # noqa: BLE001 - told by stop
            self.error = error

    def _write(self, numbers: random.Random, name: str, turn: int) -> None:
        plural = numbers.choice(("configmaps", "serviceaccounts"))
        path = f"{collection(self._where, plural)}/{name}"
        if numbers.random() < 0.2:
            self._server.request("DELETE", path)
            return
        color = numbers.choice(("red", "green", "blue"))
        make = config_map if plural == "configmaps" else service_account
        item = make(self._where, name, str(turn), color=color)
        if self._server.request("PUT", path, item).status == 404:
            self._server.request("POST", collection(self._where, plural), item)
