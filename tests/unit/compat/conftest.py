"""Both informers: `kubernetes`' own and vai's, over the same simulated server."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from kubernetes.client import ApiClient, Configuration, CoreV1Api

import vai
from tests.timing import wait_until
from vai import compat
from vai.testing import Simulator

MODULES: dict[str, Any] = {"vai.compat": compat}
with contextlib.suppress(ImportError):
    # Not in every version of `kubernetes` that vai is used with.
    MODULES["kubernetes.informer"] = importlib.import_module("kubernetes.informer")


class Made(Protocol):
    """Makes an informer that ends with the test."""

    def __call__(self, method: str = ..., **arguments: Any) -> Any: ...


class Heard:
    """What handlers were called with: (event, name, resourceVersion) in order."""

    def __init__(self, informer: Any) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.objects: dict[str, Any] = {}
        self.errors: list[Any] = []
        self.threads: set[int] = set()
        for event in ("ADDED", "MODIFIED", "DELETED"):
            informer.add_event_handler(event, self._hear(event))
        informer.add_event_handler("ERROR", self.errors.append)

    def _hear(self, event: str) -> Callable[[Any], None]:
        def hear(found: Any) -> None:
            self.threads.add(threading.get_ident())
            self.objects[found.metadata.name] = found
            self.calls.append((event, found.metadata.name, found.metadata.resource_version))

        return hear

    @property
    def events(self) -> list[tuple[str, str]]:
        return [call[:2] for call in self.calls]

    def wait(self, count: int) -> list[tuple[str, str]]:
        wait_until(lambda: len(self.calls) >= count, what=lambda: (self.calls, self.errors))
        return self.events


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=1) as made:
        yield made


@pytest.fixture(params=sorted(MODULES))
def module(request: pytest.FixtureRequest) -> Any:
    """One of the two."""
    return MODULES[request.param]


@pytest.fixture
def api(sim: Simulator) -> Any:
    return CoreV1Api(ApiClient(Configuration(host=sim.url)))


@pytest.fixture
def informer(module: Any, api: Any, sim: Simulator) -> Iterator[Made]:
    made: list[Any] = []

    def make(method: str = "list_namespaced_pod", **arguments: Any) -> Any:
        if method == "list_namespaced_pod":
            arguments.setdefault("namespace", "default")
        made.append(module.SharedInformer(getattr(api, method), **arguments))
        return made[-1]

    yield make
    # The original's thread waits in recv: only the end of its connection wakes it.
    sim.close()
    for one in made:
        one.stop()
        if isinstance(one._cache, vai.Cache):
            one._cache.close()
