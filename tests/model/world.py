"""The simulated cluster of a run, and everything that it ever was."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import vai
from vai.testing import Simulator
from vai.testing.objects import Stored

#: What is kept, and of it what a selector leaves: label flips let objects come and go.
SCOPES: Final[dict[str, vai.Scope]] = {
    "configmaps": vai.Scope("configmaps"),
    "serviceaccounts": vai.Scope("serviceaccounts", label_selector="color=red"),
    "widgets.example.com": vai.Scope("widgets.example.com"),
}
_KINDS: Final = {
    "configmaps": ("v1", "ConfigMap"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "widgets.example.com": ("example.com/v1", "Widget"),
}
#: (resourceVersion, stamp): after a restore a version is given out again, a stamp never.
Row = tuple[str, str]
State = frozenset[tuple[str, Row]]


class World:
    """A simulator whose states are remembered per scope, with the time that each was left.

    Every write goes through `change`.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        token = folder / "token"
        self.sim = Simulator(
            seed=seed,
            token=f"first-{seed}",
            token_file=token,
            bookmark_every_s=0.1,
            wait_s=0.2,
            history=200,
        )
        self.sim.install_crd()
        self.kubeconfig = self.sim.kubeconfig(folder / "kubeconfig")
        self._lock = threading.Lock()
        self._now: dict[str, State] = {}
        self._left: dict[tuple[str, State], float] = {}
        self._stamp = 0
        #: How often it went back.
        self.restores = 0
        self._journal: list[tuple[str, str, Row | None, int]] = []
        self.change(lambda: None)

    # --- its history

    def change(self, write: Callable[[], object]) -> None:
        """One write; nobody sees its result before it is remembered."""
        with self.sim.store.lock:
            write()
            moment = time.monotonic()
            with self._lock:
                for name in SCOPES:
                    state = self._state(name)
                    before = self._now.get(name)
                    if before == state:
                        continue
                    if before is not None:
                        self._left[name, before] = moment
                    self._note(name, dict(before or ()), dict(state))
                    self._now[name] = state

    def restore(self) -> None:
        """etcd is restored from its backup."""
        self.restores += 1
        self.change(self.sim.restore_backup)

    def _state(self, name: str) -> State:
        table = self.sim.store.table(self.sim.registry.lookup(name))
        wanted = "red" if SCOPES[name].label_selector else None
        return frozenset(
            (stored.key, row(stored))
            for stored in table.objects.values()
            if wanted is None or stored.labels.get("color") == wanted
        )

    def _note(self, name: str, before: dict[str, Row], after: dict[str, Row]) -> None:
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                at = self.sim.resource_version
                self._journal.append((name, key, after.get(key), at))

    def told(self, name: str, key: str) -> str:
        """What became of one object."""
        found = [entry for entry in self._journal if entry[:2] == (name, key)]
        return ", ".join(f"{'gone' if row is None else row} at {at}" for _, _, row, at in found)

    def now(self, name: str) -> State:
        """What the scope is."""
        with self._lock:
            return self._now[name]

    def left(self, name: str, state: State) -> float | None:
        """Until when the scope was so (infinity: it is); None if it never was."""
        with self._lock:
            if self._now[name] == state:
                return float("inf")
            return self._left.get((name, state))

    # --- its objects

    def make(self, name: str, key: tuple[str, str], color: str) -> dict[str, Any]:
        """An object with a stamp of its own."""
        self._stamp += 1
        version, kind = _KINDS[name]
        labels = {"stamp": str(self._stamp), "color": color}
        metadata = {"namespace": key[0], "name": key[1], "labels": labels}
        return {"apiVersion": version, "kind": kind, "metadata": metadata}

    def put(self, name: str, key: tuple[str, str], color: str) -> None:
        """Create or replace it."""
        self.change(lambda: self.sim.apply(self.make(name, key, color)))

    def delete(self, name: str, key: tuple[str, str]) -> None:
        """Delete it, if it is there."""
        if self.sim.get(name, key[1], namespace=key[0]) is not None:
            self.change(lambda: self.sim.delete(name, key[1], namespace=key[0]))

    def keys(self, name: str) -> list[tuple[str, str]]:
        """All of them, whatever the scope's selector says."""
        table = self.sim.store.table(self.sim.registry.lookup(name))
        with self.sim.store.lock:
            return [(stored.namespace, stored.name) for stored in table.objects.values()]


def row(stored: Stored) -> Row:
    """What tells one state of an object from another."""
    return str(stored.rv), stored.labels.get("stamp", "")


def state_of(snapshot: vai.Snapshot) -> State:
    """The same of what vai answers."""
    return frozenset((key, row_of(found)) for key, found in snapshot.items())


def row_of(found: vai.Object) -> Row:
    """The same of one object."""
    return found.resource_version, found.labels.get("stamp", "")
