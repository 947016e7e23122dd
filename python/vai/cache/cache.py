"""`Cache`: reads of one moment, waits, and the history, over one cluster file."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import NoReturn, Self, overload

from vai.cache import relations
from vai.cache.aio import AsyncCache
from vai.cache.changes import Changes, Follow, History, Since
from vai.cache.conditions import Synced, Until, exists
from vai.cache.engine import Engine
from vai.cache.export import Exported, Format, Progress, Target, format_of
from vai.cache.export import export as write_export
from vai.cache.handlers import Handlers
from vai.cache.informers import Informers
from vai.cache.measures import Measures
from vai.cache.queries import Queries
from vai.cache.query import Namespaces, namespaces_of
from vai.cache.reads import Reads, refuse_older
from vai.cache.views import Snapshot
from vai.cache.waits import Deadline
from vai.config import Settings
from vai.objects import Object
from vai.types import (
    EVERYTHING,
    Cluster,
    ConsumerStatus,
    Field,
    FieldType,
    Freshness,
    Position,
    Resource,
    Scope,
    ScopeStatus,
)


class Cache(Queries, Informers):
    """A cluster file that is read, and, from `vai.connect`, kept current.

    Made by `vai.connect` or `vai.open`. Thread-safe: any thread may call anything, `close`
    included. Not fork-safe: in a forked child every call raises ForkedError; open the file there
    instead. A context manager, also asynchronous.

    Every read is one moment of the file and says how fresh it is. Reads of what was asked for but
    never listed raise NotSyncedError, of what no scope keeps NotKeptError, of an unknown resource
    UnknownResourceError; a closed cache raises ClosedError. Resources are named as kubectl takes
    them.
    """

    def __init__(
        self, engine: Engine, scopes: Sequence[Scope] = (), settings: Settings | None = None
    ) -> None:
        """Use `vai.connect` or `vai.open`."""
        self._engine = engine
        self._reads = Reads(engine, scopes)
        self._handlers = Handlers(self._reads, (settings or Settings()).handlers_bytes)
        # At exit, or when nobody holds the cache or a stream of it any more.
        weakref.finalize(self._reads, engine.close)

    # the cache itself

    @property
    def path(self) -> str:
        """Where the file is."""
        return self._engine.store.path

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What this cache was asked to keep, one scope per namespace; empty if it only reads."""
        return self._reads.wanted

    @property
    def role(self) -> str:
        """What this process is to the file now: ``writer`` while it syncs it, else ``reader``."""
        return "writer" if self._engine.writes else "reader"

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._engine.closed

    @property
    def aio(self) -> AsyncCache:
        """What waits, for asyncio: `wait_synced`, `wait_for`, `changes`, `events`, `list`."""
        return AsyncCache(self._reads, self._handlers)

    def close(self) -> None:
        """Stop syncing, end every wait and every `changes` loop, close the file.

        Idempotent, callable from any thread, takes less than two seconds, runs at exit by itself.
        What was committed stays. In a forked child it does nothing.
        """
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.role
        return f"<vai.Cache {self._engine.store.path} ({state})>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "cannot pickle a Cache: it belongs to its process; hand on its path, and use vai.open"
        )

    # what is known

    def cluster(self) -> Cluster | None:
        """Whose copy the file is; None while nothing was ever synced."""
        return self._engine.store.cluster()

    def resources(self) -> tuple[Resource, ...]:
        """What discovery found, most preferred first; empty while nothing was ever synced."""
        return tuple(self._engine.store.resources())

    def resolve(self, resource: str) -> Resource:
        """The resource that kubectl would take for this word."""
        return self._reads.resolve(resource)

    def status(self) -> list[ScopeStatus]:
        """Every scope of the file with its freshness, whoever syncs it."""
        return self._engine.store.scopes()

    def freshness(self, resource: str, namespace: Namespaces = None) -> Freshness:
        """How fresh an answer about this resource (in these namespaces) would be now."""
        found = self._reads.resolve(resource)
        return self._reads.freshness(found, namespaces_of(found, namespace))

    def measures(self) -> Measures:
        """All that is counted: what `vai.metrics` exports. Costs some small reads of the file."""
        return self._engine.measures(self._handlers.measures())

    def position(self) -> Position:
        """The last commit: `changes(since=position)` goes on from here."""
        return self._engine.store.position()

    # fields

    def fields(self, resource: str | None = None) -> tuple[Field, ...]:
        """What objects are indexed by, how far new fields are built, and what did not parse.

        Args:
            resource: as kubectl takes it; None for every resource of the file.
        """
        found = None if resource is None else self._reads.resolve(resource)
        return tuple(self._engine.store.fields(found))

    def index(
        self,
        resource: str,
        path: str,
        *,
        type: FieldType = "text",  # noqa: A002 - what it is called in files of fields too
        many: bool | None = None,
    ) -> None:
        """Index one more field of a resource, from now on and for everybody who opens the file.

        Returns once that is recorded. What is there already is indexed in the background, in steps
        of at most 20 ms between changes, without asking the server; a query that names the field
        meanwhile is answered from the bodies. `fields` tells how far it is. The same field again,
        or one that vai indexes anyway, costs nothing; with another type it is built anew.

        Args:
            resource: as kubectl takes it.
            path: where the value is: `.spec.priority`, `.spec.containers[*].image`,
                `.status.conditions[type=Ready].status`, `.metadata.annotations[example.com/team]`.
            type: as what values compare. One that does not parse counts as missing, and `fields`
                reports it.
            many: whether an object may have several values; None leaves that to the path.

        Raises:
            InvalidRequestError: no such path or type; or vai or the CRD has it as another type.
            ReadOnlyError: another process syncs the file; it alone can index.
            NotSyncedError: it is not known yet what the server serves.
        """
        self._engine.store.index(self._reads.resolve(resource), path, type, many=many)

    def unindex(self, resource: str, path: str) -> None:
        """Drop a field that `index` added; its space is freed in the background.

        Raises:
            UnknownFieldError: `index` added no such field.
            ReadOnlyError: another process syncs the file.
        """
        self._engine.store.unindex(self._reads.resolve(resource), path)

    # reads

    def get(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        max_age: float | timedelta | None = None,
    ) -> Object | None:
        """One object; None only if its absence is proven.

        Costs one indexed lookup; nothing is decompressed or decoded until the object is touched.

        Args:
            resource: as kubectl takes it.
            name: metadata.name, or a whole key `namespace/name`.
            namespace: of a namespaced object.
            max_age: the oldest proof that will do.

        Raises:
            NotSyncedError: it may exist: its scope was never listed completely.
            NotKeptError: it may exist: no scope of the file covers it.
            StaleError: the answer is older than `max_age`.
        """
        return self._reads.get(resource, name, namespace, max_age)

    def snapshot(
        self,
        resource: str,
        namespace: Namespaces = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        max_age: float | timedelta | None = None,
    ) -> Snapshot:
        """All matching objects of one moment, as a mapping by key.

        Costs a read of the matching rows; their bodies stay compressed (about 7 % of the JSON)
        until they are touched.

        Args:
            resource: as kubectl takes it.
            namespace: one namespace, several, or None for all that is kept.
            label_selector: as in `kubectl get -l`.
            field_selector: as in `kubectl get --field-selector`.
            max_age: the oldest proof that will do.

        Raises:
            NotSyncedError: the resource was never listed completely.
            NotKeptError: no scope of the file covers what is asked for.
            StaleError: the answer is older than `max_age`.
        """
        wanted = self._reads.select(resource, namespace, label_selector, field_selector)
        return self._reads.snapshot(wanted, max_age)

    def export(
        self,
        target: Target,
        resources: str | Sequence[str] = EVERYTHING,
        *,
        namespace: Namespaces = None,
        label_selector: str = "",
        field_selector: str = "",
        format: Format | None = None,  # noqa: A002 - as in str.format: what it is
        overwrite: bool = False,
        max_age: float | timedelta | None = None,
        progress: Progress | None = None,
    ) -> tuple[Exported, ...]:
        """Write whole resources of one moment for other tools, each in key order.

        "ndjson" has a body a line, as the server sent it. "sqlite" is a plain database with a
        table per resource (namespace, name, uid, resource_version, created, labels, the fields of
        the catalogue such as phase and node, body) and a table `_export` that says how old it is.
        "parquet" has the same columns; it needs pyarrow
        (`pip install 'vai-cache[parquet]'`) and holds one resource. Memory stays at some megabytes
        whatever the size. A path gets its name when it is whole, 0600.

        Objects that are kept as metadata only (Secrets) are written so, as PartialObjectMetadata.

        Args:
            target: a path, or a binary stream (not for "sqlite").
            resources: as kubectl takes them; "*" for all that the file keeps.
            namespace: one namespace, several, or None for all that is kept.
            label_selector: as in `kubectl get -l`.
            field_selector: as in `kubectl get --field-selector`.
            format: by default what the suffix means: .ndjson .jsonl, .db .sqlite .sqlite3,
                .parquet; of a stream "ndjson".
            overwrite: replace what has the name; a cluster file never is.
            max_age: the oldest proof that will do.
            progress: called with (objects written, objects of all).

        Raises:
            InvalidRequestError: the target exists or does not take the format; pyarrow is missing.
            DiskFullError: there is no space for it; nothing was left there.
            NotSyncedError, NotKeptError, StaleError: as `snapshot`.
        """
        chosen = format_of(target, format)
        asks = self._reads.asks(resources, namespace, label_selector, field_selector)

        def accept(parts: Sequence[Exported]) -> None:
            if max_age is not None:
                for part in parts:
                    refuse_older(part.freshness, max_age, part.resource)

        return write_export(
            self._engine.store,
            target,
            asks,
            chosen,
            overwrite=overwrite,
            accept=accept,
            progress=progress,
        )

    # relations

    def owners(
        self, resource: str, name: str, *, namespace: str | None = None
    ) -> Sequence[relations.Related]:
        """Who owns an object, who owns that, and so on: each before its own owners.

        An owner that the file does not keep is named all the same (`.object` is None).

        Args:
            resource: as kubectl takes it.
            name: metadata.name, or a whole key `namespace/name`.
            namespace: of a namespaced object.

        Raises:
            NotFoundError: there is no such object.
            NotSyncedError, NotKeptError: as `get`.
        """
        return relations.owners(self._reads, resource, name, namespace)

    def dependents(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        depth: int | None = None,
    ) -> Sequence[relations.Related]:
        """What an object owns, and what that owns, down to a depth; each before its own.

        Costs an indexed lookup per object. Only what the file keeps can be found.

        Args:
            resource: as kubectl takes it.
            name: metadata.name, or a whole key `namespace/name`.
            namespace: of a namespaced object.
            depth: 1 for its own dependents; None for all.

        Raises:
            NotFoundError: there is no such object.
            NotSyncedError, NotKeptError: as `get`.
        """
        return relations.dependents(self._reads, resource, name, namespace, depth)

    def related(
        self, resource: str, name: str, *, namespace: str | None = None
    ) -> Sequence[relations.Related]:
        """Everything one step away from an object, of one moment.

        Its owners and dependents; the pods that its selector chooses (Service, Deployment, …), or
        whose selectors choose it; its node, ConfigMaps, Secrets, claims, Services and whatever
        else it names; and what names it, which is found by fields of the catalogue, or (users of a
        ConfigMap or a Secret) in the bodies of its namespace.

        Args:
            resource: as kubectl takes it.
            name: metadata.name, or a whole key `namespace/name`.
            namespace: of a namespaced object.

        Raises:
            NotFoundError: there is no such object.
            NotSyncedError, NotKeptError: as `get`.
        """
        return relations.related(self._reads, resource, name, namespace)

    def tree(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        depth: int | None = None,
        related: bool = False,
    ) -> relations.Tree:
        """An object with its owners and its dependents, all of one moment.

        Args:
            resource: as kubectl takes it.
            name: metadata.name, or a whole key `namespace/name`.
            namespace: of a namespaced object.
            depth: of dependents: 1 for its own; None for all.
            related: also what `related` tells.

        Raises:
            NotFoundError: there is no such object.
            NotSyncedError, NotKeptError: as `get`.
        """
        return relations.tree(self._reads, resource, name, namespace, depth, related=related)

    # waits

    def wait_synced(self, timeout: float | timedelta | None = None) -> None:
        """Return when every scope has a whole answer: at once for a file that was synced before.

        Waits for the scopes given to `vai.connect`; of "*" for all that may be read; of a cache
        that only reads, for all scopes of the file.

        Raises:
            SyncTimeoutError: `.scopes` says why, per scope.
            UnknownResourceError: the cluster says that it has no such resource.
            OtherClusterError: the file holds another cluster.
        """
        Synced(self._reads).block(Deadline(timeout))

    @overload
    def wait_for(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        timeout: float | timedelta | None = None,
        min_resource_version: str | None = None,
    ) -> Object: ...
    @overload
    def wait_for(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        until: Callable[[Object | None], object],
        timeout: float | timedelta | None = None,
        min_resource_version: str | None = None,
    ) -> Object | None: ...
    def wait_for(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        until: Callable[[Object | None], object] = exists,
        timeout: float | timedelta | None = None,
        min_resource_version: str | None = None,
    ) -> Object | None:
        """Wait until a condition holds for one object, and return the object.

        Waits inside the core for the next commit; nothing is polled over the network.

        Args:
            resource: as kubectl takes it.
            name: metadata.name, or a whole key `namespace/name`.
            namespace: of a namespaced object.
            until: called with the object, and again whenever it changed; a true result ends the
                wait. It gets None only when the object's absence is proven. By default the wait
                ends when the object exists.
            timeout: how long to wait; None for ever.
            min_resource_version: what a write of one's own returned: `until` sees nothing older.

        Returns:
            What `until` accepted; None if that was the absence.

        Raises:
            VaiTimeoutError: the condition did not hold in time.
            NotKeptError: no scope of the file covers the object.
        """
        condition = Until(self._reads, resource, (name, namespace), until, min_resource_version)
        return condition.block(Deadline(timeout))

    # history

    def changes(
        self,
        resources: str | Sequence[str],
        since: Since = None,
        *,
        namespace: Namespaces = None,
        label_selector: str = "",
        field_selector: str = "",
        where: str = "",
        consumer: str | None = None,
    ) -> Changes:
        """What happens to these resources, in order; ends when the cache is closed.

        Args:
            resources: as kubectl takes them.
            since: where to begin: after a position (`snapshot.position`, `change.position`), a
                timedelta ago, or at the "beginning" of the history; None for from now on, or from
                the end of the first list if that is not over yet.
            namespace: one namespace, several, or None for all that is kept.
            label_selector: as in `kubectl get -l`.
            field_selector: as in `kubectl get --field-selector`.
            where: a condition, as in `list`. With any filter, an object that comes to pass it is
                an "add", and one that no longer does a "delete" with its last state that did, as
                in watches of a real server; so the changes add up to what the filter selects.
                Ages are counted from the moment of this call.
            consumer: a name under which the position is kept beside the file: the loop goes on
                where the last one of that name stopped, also in another process, and `since`
                counts only where there is no position yet. A change is handled, and will not come
                again, when the loop asks for the next one; one that was being handled when the
                process died or the loop was left comes again. History waits for named consumers
                beyond its time, but not beyond its budget of bytes.

        Returns:
            An iterator of `Change`; also a context manager.

        Raises:
            ExpiredError: (also while iterating) the history does not reach back to where to go
                on; `.oldest_seq` is where it begins. Take a snapshot and go on from its position.
            ConsumerBusyError: another process, or another loop of this one, is that consumer.
        """
        follow = Follow(
            resources,
            since,
            consumer,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            where=where,
        )
        return Changes(History(self._reads, follow))

    def consumers(self) -> tuple[ConsumerStatus, ...]:
        """The named consumers of this file, by name, with their positions."""
        return tuple(self._engine.store.consumers())

    def forget_consumer(self, name: str) -> bool:
        """Delete the position of a named consumer; history no longer waits for it.

        Returns:
            Whether there was one.

        Raises:
            ConsumerBusyError: it is running.
        """
        return self._engine.store.forget_consumer(name)
