"""Listers as client-go's: the objects of one resource, all of them or those of a namespace."""

from __future__ import annotations

from vai.cache.reads import Reads
from vai.errors import NotFoundError
from vai.objects import Object


class NamespaceLister:
    """What `Lister.namespaced` returns: reads within one namespace."""

    def __init__(self, reads: Reads, resource: str, namespace: str | None) -> None:
        """Use `Cache.lister`."""
        self._reads = reads
        self._resource = resource
        self._namespace = namespace

    def list(self, label_selector: str = "") -> list[Object]:
        """The matching objects of one moment, in key order.

        Raises:
            NotSyncedError, NotKeptError: as `Cache.snapshot`.
        """
        wanted = self._reads.select(self._resource, self._namespace, label_selector, "")
        return list(self._reads.snapshot(wanted, None).values())

    def get(self, name: str) -> Object:
        """One object.

        Args:
            name: metadata.name; where no namespace was chosen, a whole key `namespace/name` too.

        Raises:
            NotFoundError: there is none, which is proven.
            NotSyncedError, NotKeptError: as `Cache.get`.
        """
        found = self._reads.get(self._resource, name, self._namespace)
        if found is None:
            where = f" in {self._namespace}" if self._namespace else ""
            raise NotFoundError(f"{self._resource} {name!r} not found{where}", name=name)
        return found


class Lister(NamespaceLister):
    """Reads of all namespaces; `namespaced` narrows them."""

    def __init__(self, reads: Reads, resource: str) -> None:
        """Use `Cache.lister`."""
        super().__init__(reads, resource, None)

    def namespaced(self, namespace: str) -> NamespaceLister:
        """The same within a namespace."""
        return NamespaceLister(self._reads, self._resource, namespace)
