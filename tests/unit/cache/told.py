"""A handler that remembers what it was told, and what that adds up to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import vai
from tests.timing import wait_until
from vai.cache import Event


class Told:
    """Its `callbacks` are arguments of `add_handler`."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        """Call `before` at the start of each callback."""
        self._before = before
        self._lock = threading.Lock()
        #: (what, key, resourceVersion) in order.
        self.calls: list[tuple[str, str, str]] = []
        self.initial: list[str] = []
        self.errors: list[Exception] = []
        self.tombstones: list[vai.DeletedFinalStateUnknown] = []
        self.olds: list[vai.Object | None] = []
        #: What there is now, if every call is believed.
        self.folded: dict[str, str] = {}
        self.wrong: list[str] = []

    @property
    def callbacks(self) -> Mapping[str, Any]:
        return {
            "on_add": self.add,
            "on_update": self.update,
            "on_delete": self.delete,
            "on_error": self.errors.append,
        }

    def add(self, found: vai.Object, is_in_initial_list: bool) -> None:
        self._before()
        with self._lock:
            if found.key in self.folded:
                self.wrong.append(f"{found.key} was added twice")
            self._note("add", found)
            if is_in_initial_list:
                self.initial.append(found.key)

    def update(self, old: vai.Object | None, found: vai.Object) -> None:
        self._before()
        with self._lock:
            if found.key not in self.folded:
                self.wrong.append(f"{found.key} was updated, but not there")
            if old is not None and old.resource_version != self.folded.get(found.key):
                self.wrong.append(f"{found.key}: the old object is not the one told before")
            self.olds.append(old)
            self._note("update", found)

    def delete(self, last: vai.Object | vai.DeletedFinalStateUnknown) -> None:
        self._before()
        with self._lock:
            if self.folded.pop(last.key, None) is None:
                self.wrong.append(f"{last.key} was deleted, but not there")
            if isinstance(last, vai.DeletedFinalStateUnknown):
                self.tombstones.append(last)
            self.calls.append(("delete", last.key, last.resource_version))

    def believe(self, event: Event) -> None:
        """The same from an event."""
        match event.op:
            case "add":
                assert isinstance(event.object, vai.Object)
                self.add(event.object, event.is_in_initial_list)
            case "update":
                assert isinstance(event.object, vai.Object)
                self.update(event.old, event.object)
            case "delete":
                self.delete(event.object)

    def _note(self, what: str, found: vai.Object) -> None:
        self.folded[found.key] = found.resource_version
        self.calls.append((what, found.key, found.resource_version))

    def wait(self, count: int) -> list[tuple[str, str, str]]:
        """What it was told, once that is so much."""
        wait_until(lambda: len(self.calls) >= count, what=lambda: self.calls)
        assert not self.wrong
        return list(self.calls)

    def wait_equal(self, expected: Mapping[str, str]) -> None:
        """Until what it was told adds up to this."""
        wait_until(lambda: self.folded == expected, what=lambda: (self.folded, expected))
        assert not self.wrong


def versions(cache: vai.Cache, resource: str = "pods") -> dict[str, str]:
    """What is there: resourceVersions by key."""
    return {key: found.resource_version for key, found in cache.snapshot(resource).items()}
