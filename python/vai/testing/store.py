"""The objects, their history, and one counter of resourceVersions for the whole cluster.

Like etcd with a watch cache in front: every write takes the next resourceVersion and is appended
to its resource's log, from which watches are fed and past states are rebuilt. The log is bounded;
what has fallen out of it is answered with 410.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vai.testing.fields import fields_of
from vai.testing.objects import Json, Stored, head_of, render
from vai.testing.resources import Resource
from vai.testing.status import expired

# cacher/watch_cache.go: a watch cache grows to at most 102,400 events; 10,000 keeps memory small
# and is far more than a test changes between two looks.
DEFAULT_HISTORY = 10_000


@dataclass(slots=True, eq=False)
class Change:
    """One entry of a resource's log.

    Attributes:
        before: The object before; None for an add.
        after: The object after; None for a delete.
        gone: For a delete, the last object under the deletion's resourceVersion.
    """

    rv: int
    before: Stored | None
    after: Stored | None
    gone: Stored | None = None
    frames: dict[Any, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All objects of a resource at one resourceVersion, in key order."""

    rv: int
    keys: list[str]
    items: list[Stored]


@dataclass(frozen=True, slots=True)
class Backup:
    """A saved state of the whole cluster."""

    rv: int
    objects: Mapping[Resource, Mapping[str, Stored]]


class Table:
    """The objects and the log of one resource. All methods need the store's lock."""

    def __init__(self, resource: Resource, lock: threading.RLock, history: int) -> None:
        self.resource = resource
        self.objects: dict[str, Stored] = {}
        self.changed = threading.Condition(lock)
        self.history = history
        self.floor = 0  # watches may start at floor or later
        self.cache_rv = 0  # what this resource's watch cache has seen
        self.generation = 0  # grows when running watches must be closed
        self.snapshots_floor = 0
        self._log: list[Change] = []
        self._first = 0  # sequence number of _log[0]
        self._keys: list[str] = []
        self._snapshot: Snapshot | None = None
        self._past: OrderedDict[int, Snapshot] = OrderedDict()

    @property
    def end(self) -> int:
        """The sequence number that the next change gets."""
        return self._first + len(self._log)

    @property
    def newest_rv(self) -> int:
        """The resourceVersion of the newest kept change; 0 when none is kept."""
        return self._log[-1].rv if self._log else 0

    def append(self, change: Change) -> None:
        """Apply a change and log it."""
        if change.after is not None:
            if change.before is None:
                bisect.insort(self._keys, change.after.key)
            self.objects[change.after.key] = change.after
        elif change.before is not None:
            del self.objects[change.before.key]
            del self._keys[bisect.bisect_left(self._keys, change.before.key)]
        self._log.append(change)
        self.cache_rv = change.rv
        self._snapshot = None
        # Drop in strides, so that a full log costs O(1) per change.
        if len(self._log) > self.history + self.history // 8 + 16:
            self._drop(len(self._log) - self.history)
        self.changed.notify_all()

    def load(self, stored: Iterable[Stored]) -> None:
        """Take many new objects, logging each; one sort instead of one insert per object."""
        for one in stored:
            self.objects[one.key] = one
            self._log.append(Change(one.rv, None, one))
            self.cache_rv = one.rv
        self._keys = sorted(self.objects)
        self._snapshot = None
        if len(self._log) > self.history:
            self._drop(len(self._log) - self.history)
        self.changed.notify_all()

    def _drop(self, count: int) -> None:
        if count <= 0:
            return
        self.floor = self._log[count - 1].rv
        del self._log[:count]
        self._first += count

    def compact(self, rv: int) -> None:
        """Forget the changes up to ``rv``."""
        self._drop(sum(1 for change in self._log if change.rv <= rv))
        self.floor = max(self.floor, rv)
        self.forget_past()

    def forget_past(self) -> None:
        """Drop the remembered past states, so that continue tokens of them expire."""
        self.snapshots_floor = self.cache_rv
        self._past.clear()

    def replace(self, objects: Mapping[str, Stored], rv: int) -> None:
        """Become another state, as after a restore; running watches end."""
        self.objects = dict(objects)
        self._keys = sorted(self.objects)
        self._first = self.end
        self._log.clear()
        self._snapshot = None
        self._past.clear()
        self.floor = self.cache_rv = self.snapshots_floor = rv
        self.generation += 1
        self.changed.notify_all()

    def since(self, position: int) -> list[Change] | None:
        """The changes from a sequence number on; None when some are no longer kept."""
        if position < self._first:
            return None
        return self._log[position - self._first :]

    def position_after(self, rv: int) -> int:
        """The sequence number of the first change newer than ``rv``."""
        return self._first + bisect.bisect_right(self._log, rv, key=lambda change: change.rv)

    def now(self, rv: int) -> Snapshot:
        """The present state, labelled ``rv``."""
        if self._snapshot is None:
            objects = self.objects
            keys = self._keys.copy()
            self._snapshot = Snapshot(rv, keys, [objects[key] for key in keys])
        if self._snapshot.rv != rv:
            self._snapshot = Snapshot(rv, self._snapshot.keys, self._snapshot.items)
        return self._snapshot

    def remember(self, snapshot: Snapshot) -> None:
        """Keep a state whose list is being paged."""
        self._past[snapshot.rv] = snapshot
        while len(self._past) > 8:
            self._past.popitem(last=False)

    def at(self, rv: int) -> Snapshot | None:
        """The state at ``rv``, undone from the present; None when the log does not reach it."""
        if rv in self._past:
            self._past.move_to_end(rv)
            return self._past[rv]
        if rv < max(self.floor, self.snapshots_floor):
            return None
        objects = dict(self.objects)
        for change in reversed(self._log):
            if change.rv <= rv:
                break
            if change.before is not None:
                objects[change.before.key] = change.before
            elif change.after is not None:
                objects.pop(change.after.key, None)
        keys = sorted(objects)
        snapshot = Snapshot(rv, keys, [objects[key] for key in keys])
        self.remember(snapshot)
        return snapshot


class Store:
    """All tables under one lock and one counter."""

    def __init__(self, *, history: int = DEFAULT_HISTORY) -> None:
        self.lock = threading.RLock()
        # A fresh etcd is at 1, and the first write of a kube-apiserver is 2.
        self.rv = 1
        # Where the watch caches of this server began; a resource first touched later still has it.
        self._start_rv = 1
        self._history = history
        self._tables: dict[tuple[str, str], Table] = {}
        self._backups: dict[int, Backup] = {}

    def table(self, resource: Resource) -> Table:
        """The table of a resource; a changed CRD keeps its objects."""
        key = (resource.group, resource.name)
        with self.lock:
            found = self._tables.get(key)
            if found is None:
                found = self._tables[key] = Table(resource, self.lock, self._history)
                start = self.rv if resource.custom else self._start_rv
                found.floor = found.cache_rv = found.snapshots_floor = start
            found.resource = resource
            return found

    def drop_table(self, resource: Resource) -> None:
        """Forget a resource and all its objects, as deleting its CRD does."""
        with self.lock:
            table = self._tables.pop((resource.group, resource.name), None)
            if table is not None:
                table.replace({}, self.rv)

    def tables(self) -> list[Table]:
        """Every table that was ever asked for."""
        with self.lock:
            return list(self._tables.values())

    def encode(self, resource: Resource, obj: Json, rv: int) -> Stored:
        """The stored form of an object under a resourceVersion (set in ``obj`` too)."""
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(rv)
        namespace = metadata.get("namespace", "")
        name = metadata["name"]
        item, start, end = render(
            obj, custom=resource.custom, kind=resource.kind, api_version=resource.api_version
        )
        return Stored(
            key=f"{namespace}/{name}" if namespace else name,
            namespace=namespace,
            name=name,
            uid=metadata.get("uid", ""),
            rv=rv,
            labels=metadata.get("labels") or {},
            fields=fields_of(resource, obj),
            item=item,
            head=b"" if resource.custom else head_of(resource.kind, resource.api_version),
            meta_start=start,
            meta_end=end,
        )

    def put(self, resource: Resource, obj: Json) -> Stored:
        """Write an object, new or not."""
        with self.lock:
            table = self.table(resource)
            rv = self.rv + 1
            stored = self.encode(resource, obj, rv)
            self.rv = rv
            table.append(Change(rv, table.objects.get(stored.key), stored))
            return stored

    def put_many(self, resource: Resource, objects: Iterable[Json]) -> None:
        """Write many new objects at once."""
        with self.lock:
            table = self.table(resource)
            stored: list[Stored] = []
            for obj in objects:
                self.rv += 1
                stored.append(self.encode(resource, obj, self.rv))
            table.load(stored)

    def remove(self, resource: Resource, key: str) -> Stored | None:
        """Delete an object; returns it under the deletion's resourceVersion, or None."""
        with self.lock:
            table = self.table(resource)
            before = table.objects.get(key)
            if before is None:
                return None
            self.rv += 1
            gone = before.at(self.rv)
            table.append(Change(self.rv, before, None, gone))
            return gone

    def modify(
        self, resource: Resource, key: str, change: Callable[[Json], Json | None]
    ) -> Stored | None:
        """Read, change and write an object under the lock; None when it is not there."""
        with self.lock:
            before = self.table(resource).objects.get(key)
            if before is None:
                return None
            obj = before.load()
            return self.put(resource, change(obj) or obj)

    def consistent(self, table: Table) -> int:
        """The revision a quorum read sees; the resource's watch cache catches up with it."""
        with self.lock:
            table.cache_rv = self.rv
            return self.rv

    def snapshot(self, table: Table, rv: int | None = None) -> Snapshot:
        """The state of a resource now, or at ``rv``.

        Raises:
            ApiError: 410, the log does not reach back to ``rv``.
        """
        with self.lock:
            if rv is None:
                return table.now(self.consistent(table))
            found = table.at(rv)
            if found is None:
                raise expired("The resourceVersion for the provided list is too old.")
            return found

    def compact(self, rv: int | None = None) -> None:
        """Forget the history up to ``rv`` (now by default): older watches and tokens get 410."""
        with self.lock:
            self._start_rv = self.rv if rv is None else rv
            for table in self._tables.values():
                table.compact(self._start_rv)

    def backup(self) -> int:
        """Save the whole state; returns its resourceVersion."""
        with self.lock:
            objects = {table.resource: dict(table.objects) for table in self._tables.values()}
            self._backups[self.rv] = Backup(self.rv, objects)
            return self.rv

    def restore(self, rv: int | None = None) -> int:
        """Go back to a saved state, or to what the history still knows of ``rv``.

        Raises:
            LookupError: There is no backup, and the history does not reach ``rv``.
        """
        with self.lock:
            if rv is None:
                if not self._backups:
                    raise LookupError("no backup was taken")
                rv = max(self._backups)
            saved = self._backups.get(rv)
            states: list[tuple[Table, Mapping[str, Stored]]] = []
            for table in self._tables.values():
                if saved is not None:
                    states.append((table, saved.objects.get(table.resource, {})))
                    continue
                past = table.at(rv) if rv <= self.rv else None
                if past is None:
                    raise LookupError(f"neither a backup nor the history has {rv}")
                states.append((table, dict(zip(past.keys, past.items, strict=True))))
            self.rv = self._start_rv = rv
            for table, objects in states:
                table.replace(objects, rv)
            return rv
