"""What the steps of the demo share, and how they look at what happens."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from vai.cache import Cache
from vai.cli.demo.children import Child
from vai.cli.demo.screen import Screen
from vai.testing.control import Control
from vai.types import Freshness, State

_WAIT_S: Final = 30.0

T = TypeVar("T")


class StepError(Exception):
    """A step did not hold."""


@dataclass(slots=True)
class Stage:
    """What the steps share.

    Attributes:
        screen: where it is told.
        folder: the files of this run.
        pods: how many pods the simulated cluster has.
        parts: what is closed at the end, the last one first.
        rate_per_s: changes per second in the simulated cluster.
        resources: what is synced.
        control: steers the simulator.
        server: its address.
        sync: the running `vai sync`.
        reader: the file, opened by this process.
        answer: a fingerprint of all pods as answered while the link was cut.
        asked: how many requests the simulator had seen when the first sync was over.
        missed: the cluster's resourceVersion when the link was cut.
    """

    screen: Screen
    folder: Path
    pods: int
    parts: contextlib.ExitStack
    rate_per_s: int = 50
    resources: tuple[str, ...] = (
        "pods", "deployments.apps", "replicasets.apps", "services", "configmaps", "nodes",
        "namespaces", "events",
    )  # fmt: skip
    control: Control = field(init=False)
    server: str = ""
    sync: Child | None = None
    reader: Cache = field(init=False)
    answer: str = ""
    asked: int = 0
    missed: int = 0

    @property
    def file(self) -> Path:
        """The cluster file."""
        return self.folder / "demo.db"

    @property
    def kubeconfig(self) -> Path:
        """Leads to the simulator."""
        return self.folder / "kubeconfig"

    def held(self, condition: object, text: str) -> None:
        """Show what was checked, or end the step.

        Raises:
            StepError: it did not hold.
        """
        if not condition:
            raise StepError(f"expected: {text}")
        self.screen.held(text)

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something to see.

        Raises:
            StepError: there was nothing in time.
            ChildError: vai sync ended meanwhile.
        """
        deadline = time.monotonic() + _WAIT_S
        while True:
            found = look()
            if found is not None:
                return found
            if self.sync is not None:
                self.sync.check()
            if time.monotonic() > deadline:
                raise StepError(f"{what}: not within {_WAIT_S:.0f}s")
            time.sleep(0.02)

    def wait_states(self, *states: State) -> Freshness:
        """Wait until every scope is in one of these states. Returns the pods' freshness."""

        def look() -> Freshness | None:
            found = self.reader.status()
            complete = len(found) == len(self.resources)
            if complete and all(one.state in states for one in found):
                return self.freshness()
            return None

        return self.wait(" or ".join(states), look)

    def freshness(self) -> Freshness:
        """How fresh an answer about pods is now."""
        return self.reader.freshness("pods")

    def fingerprint(self) -> str:
        """Of all pods, byte by byte, as the file answers now."""
        digest = hashlib.sha256()
        for key, pod in self.reader.snapshot("pods").items():
            digest.update(key.encode())
            digest.update(pod.raw)
        return digest.hexdigest()

    def versions(self, resource: str) -> dict[str, str]:
        """Key → resourceVersion, as the file answers now."""
        found = self.reader.snapshot(resource)
        return {key: item.resource_version for key, item in found.items()}


def versions_of(items: Iterable[Any]) -> dict[str, str]:
    """Key → resourceVersion of objects as the server lists them."""
    found = {}
    for item in items:
        metadata = item["metadata"]
        namespace = metadata.get("namespace")
        key = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
        found[key] = metadata["resourceVersion"]
    return found
