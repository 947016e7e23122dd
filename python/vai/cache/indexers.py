"""Indexers as client-go's: objects by what functions of the user's say of them.

Nothing runs between two questions. Each one first reads what changed since the last, calls the
functions for those objects alone, and then answers; so an index is never behind the file. Kept are
the key of each object and its values, no object: they are read when they are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from vai import store
from vai.cache.query import identity_of
from vai.cache.reads import Reads
from vai.errors import ExpiredError, InvalidRequestError
from vai.objects import Object
from vai.types import Position, Resource

#: What an object is found by. It must return the same for the same object.
IndexFunc = Callable[[Object], Iterable[str]]

#: The index that is always there, as client-go's `NamespaceIndex`; it costs nothing.
NAMESPACE: Final = "namespace"
_BATCH: Final = 256
#: How often a question is asked again because its objects changed while they were read.
_TRIES: Final = 3


class _Index:
    """One function with what it said."""

    def __init__(self, name: str, func: IndexFunc) -> None:
        self.name = name
        self.func = func
        self.keys: dict[str, set[str]] = {}
        self.values: dict[str, tuple[str, ...]] = {}

    def of(self, found: Object) -> tuple[str, ...]:
        """What the function says; its error names the object."""
        try:
            return _several(self.func(found))
        except Exception as error:
            error.add_note(f"in the index function {self.name!r}, called with {found.key}")
            raise

    def put(self, key: str, values: tuple[str, ...]) -> None:
        """The object is found by these values, and by no others."""
        before = self.values.get(key, ())
        for value in before:
            if value not in values:
                keys = self.keys[value]
                keys.discard(key)
                if not keys:
                    del self.keys[value]
        for value in values:
            self.keys.setdefault(value, set()).add(key)
        if values:
            self.values[key] = values
        else:
            self.values.pop(key, None)


def _several(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidRequestError("it returned a text, not a list of texts")
    return tuple(dict.fromkeys(values))


class Indexer:
    """The objects of one resource by functions; `Cache.indexer` returns it. Thread-safe.

    Each question costs one call of each function for each object that changed since the last one,
    and a lookup for each object of the answer. An answer is of one moment, unless the file changes
    faster than its objects can be read; then each object is as it was when it was read, and has the
    value that was asked for.

    A function that raises makes the question raise: an index that left its object out would lie.
    """

    def __init__(self, reads: Reads, resource: str) -> None:
        """Use `Cache.indexer`."""
        self._reads = reads
        self._word = resource
        self._lock = threading.RLock()
        self._indexes: dict[str, _Index] = {}
        self._cursor: store.Changes | None = None
        self._resource()

    @property
    def indexers(self) -> Mapping[str, IndexFunc]:
        """The functions by their names."""
        return {name: index.func for name, index in self._indexes.items()}

    def add_indexers(self, indexers: Mapping[str, IndexFunc]) -> None:
        """Add functions; each is called once for each object there is.

        Raises:
            InvalidRequestError: there is an index of that name already.
            NotSyncedError, NotKeptError: as `Cache.snapshot`.
        """
        with self._lock:
            for name in indexers:
                if name == NAMESPACE or name in self._indexes:
                    raise InvalidRequestError(f"there is an index {name!r} already")
            before = dict(self._indexes)
            self._indexes |= {name: _Index(name, func) for name, func in indexers.items()}
            try:
                self._build()
            except BaseException:
                self._indexes = before
                self._cursor = None
                raise

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects that a function says have this value, in key order.

        Raises:
            InvalidRequestError: there is no such index.
            NotSyncedError, NotKeptError: as `Cache.snapshot`.
        """
        if name == NAMESPACE:
            return self._of_namespace(value)
        with self._lock:
            index, found = self._ask(name, value)
            for _ in range(_TRIES):
                if self._reads.store.position() == self._at():
                    return found
                index, found = self._ask(name, value)
            # Changed all the while: each object as it was when it was read.
            return [one for one in found if value in index.of(one)]

    def index(self, name: str, obj: Object) -> list[Object]:
        """The objects that share a value of this index with `obj`, which need not be kept."""
        if name == NAMESPACE:
            return self._of_namespace(obj.namespace)
        with self._lock:
            values = self._caught_up(name).of(obj)
            every = {one.key: one for value in values for one in self.by_index(name, value)}
            return [every[key] for key in sorted(every)]

    def index_keys(self, name: str, value: str) -> list[str]:
        """The keys of the objects that have this value, in order; no object is read."""
        if name == NAMESPACE:
            return [found.key for found in self._of_namespace(value)]
        with self._lock:
            return sorted(self._caught_up(name).keys.get(value, ()))

    def list_index_func_values(self, name: str) -> list[str]:
        """The values that some object has, in order."""
        if name == NAMESPACE:
            wanted = self._reads.select(self._word, None, "", "")
            rows = self._reads.snapshot(wanted, None)
            return sorted({key.rpartition("/")[0] for key in rows})
        with self._lock:
            return sorted(self._caught_up(name).keys)

    # inside

    def _resource(self) -> Resource:
        return self._reads.resolve(self._word)

    def _of_namespace(self, namespace: str) -> list[Object]:
        wanted = self._reads.select(self._word, namespace or None, "", "")
        return list(self._reads.snapshot(wanted, None).values())

    def _ask(self, name: str, value: str) -> tuple[_Index, list[Object]]:
        index = self._caught_up(name)
        return index, self._read(sorted(index.keys.get(value, ())))

    def _caught_up(self, name: str) -> _Index:
        index = self._indexes.get(name)
        if index is None:
            known = ", ".join(sorted([NAMESPACE, *self._indexes]))
            raise InvalidRequestError(f"there is no index {name!r}; there are: {known}")
        self._reads.store.check()
        if self._cursor is None:
            self._build()
        try:
            self._catch_up()
        except ExpiredError:
            self._build()
        return index

    def _catch_up(self) -> None:
        cursor = self._cursor
        while cursor is not None:
            try:
                for row in cursor.next_batch(_BATCH, 0.0):
                    found = self._now(row.key)
                    self._put(row.key, found)
            except BaseException:
                # What the batch had after this one would be missing.
                self._cursor = None
                raise
            if cursor.at_end:
                return

    def _now(self, key: str) -> Object | None:
        place, name = identity_of(self._resource(), key, None)
        return self._reads.get(self._word, name, place)

    def _put(self, key: str, found: Object | None) -> None:
        # All are asked first: one that raises must not leave the others ahead of it.
        said = [(index, () if found is None else index.of(found)) for index in self._every()]
        for index, values in said:
            index.put(key, values)

    def _every(self) -> list[_Index]:
        return list(self._indexes.values())

    def _build(self) -> None:
        snapshot = self._reads.snapshot(self._reads.select(self._word, None, "", ""), None)
        made = {name: _Index(name, index.func) for name, index in self._indexes.items()}
        for key, found in snapshot.items():
            for index in made.values():
                index.put(key, index.of(found))
        for name, index in made.items():
            self._indexes[name].keys, self._indexes[name].values = index.keys, index.values
        self._cursor = self._reads.store.changes([self._resource()], snapshot.position)

    def _at(self) -> Position | None:
        cursor = self._cursor
        return None if cursor is None else Position(cursor.epoch, cursor.seq)

    def _read(self, keys: Iterable[str]) -> list[Object]:
        found = (self._now(key) for key in keys)
        return [one for one in found if one is not None]
