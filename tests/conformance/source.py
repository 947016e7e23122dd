"""What client-go's fake controller source is to its tests: objects, and events of them.

A cluster file fed by hand, in place of a server. `add`, `modify` and `delete` send watch events;
`drop` changes an object without one, so that only `relist` shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import vai
from tests.unit.cache.feed import Feed, pod

NAMESPACE: Final = "default"


def key(name: str) -> str:
    """`default/name`."""
    return f"{NAMESPACE}/{name}"


class Source:
    """See the module; the first `relist` is the first list."""

    def __init__(self, folder: Path, **options: Any) -> None:
        """Nothing is listed yet; pods are to be."""
        self.feed = Feed(folder / "cluster.db", **options)
        self.scope = self.feed.scope()
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 100

    def add(self, name: str, labels: Mapping[str, str] | None = None, **more: Any) -> str:
        """Create one, with an event; its resourceVersion."""
        self._put(name, labels, more)
        self.feed.event(self.scope, "ADDED", self.objects[name])
        return str(self.version)

    def modify(self, name: str, labels: Mapping[str, str] | None = None, **more: Any) -> str:
        """Change one, with an event; its resourceVersion."""
        self._put(name, labels, more)
        self.feed.event(self.scope, "MODIFIED", self.objects[name])
        return str(self.version)

    def delete(self, name: str) -> str:
        """Delete one, with an event; the resourceVersion of the delete."""
        last = self.objects.pop(name)
        self.version += 1
        last["metadata"]["resourceVersion"] = str(self.version)
        self.feed.event(self.scope, "DELETED", last)
        return str(self.version)

    def drop(
        self, name: str, labels: Mapping[str, str] | None = None, *, gone: bool = False
    ) -> str:
        """Create, change or delete one of which no event comes."""
        if gone:
            self.version += 1
            del self.objects[name]
        else:
            self._put(name, labels, {})
        return str(self.version)

    def relist(self) -> None:
        """A whole list, the first one or another."""
        self.version += 1
        self.feed.watching.pop(self.scope, None)
        self.feed.load(list(self.objects.values()), version=self.version)

    @property
    def versions(self) -> dict[str, str]:
        """resourceVersions by key."""
        return {
            key(name): found["metadata"]["resourceVersion"] for name, found in self.objects.items()
        }

    def _put(self, name: str, labels: Mapping[str, str] | None, more: Mapping[str, Any]) -> None:
        self.version += 1
        made = pod(name, self.version, NAMESPACE, labels=labels)
        made["metadata"].update(more)
        self.objects[name] = made


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[tuple[Source, vai.Cache]]:
    """A source, and a cache that waits for its first list."""
    source = Source(folder, **options)
    try:
        with vai.open(source.feed.path) as cache:
            yield source, cache
    finally:
        source.feed.close()
