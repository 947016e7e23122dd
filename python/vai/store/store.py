"""The cluster file with typed values: the one door to `vai._core`."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import msgspec

from vai._core import (
    Changes,
    Comparison,
    Consumer,
    Export,
    Listing,
    Relations,
    Row,
    Rows,
    Watching,
    nearest,
)
from vai._core import Store as Core
from vai.errors import (
    ForkedError,
    NotSyncedError,
    UnknownResourceError,
)
from vai.store.catalogue import Catalogue
from vai.store.crossing import crossing
from vai.store.request import Request
from vai.types import (
    Cluster,
    ConsumerStatus,
    Field,
    Freshness,
    Position,
    Redaction,
    RequestCount,
    Resource,
    ScopeStatus,
    State,
    Traffic,
)

#: How long a catalogue is used before another process's discovery may be looked for (our choice:
#: a new CRD takes kube-apiserver longer than that to serve).
_CATALOGUE_S: Final = 1.0


class Column(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A printer column (meta.k8s.io TableColumnDefinition)."""

    name: str
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


class ExportAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What to export of one resource; see `Request`."""

    resource: str
    namespaces: tuple[str, ...] | None = None
    label_selector: str = ""
    field_selector: str = ""


class ExportColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A field as a column of an export.

    Attributes:
        name: `node`, `requests_memory`.
        field: in queries: `spec.nodeName`.
        type: text, int, real (quantities in their base unit, durations in seconds), bool or time.
        many: whether it holds a list.
    """

    name: str
    field: str
    type: Literal["text", "int", "real", "bool", "time"]
    many: bool


class ExportPart(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of an export.

    Attributes:
        table: its name where dots are in the way, unique in the export.
        columns: the catalogue's fields, between the common columns and the body.
        redacted: how many of the objects are kept as metadata only.
        scopes: ids of the scopes that answered.
        resource_version: of the one scope that answered; empty if there were several.
    """

    resource: str
    kind: str
    api_version: str
    table: str
    columns: tuple[ExportColumn, ...]
    objects: int
    redacted: int
    scopes: tuple[int, ...]
    resource_version: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One object whose row is not what the server has.

    Attributes:
        what: the file lacks it, has it though the server does not, or has an older state.
        key: namespace/name, or name.
        kept: resourceVersion in the file.
        listed: resourceVersion at the server.
    """

    what: Literal["missing", "extra", "older"]
    key: str
    kept: str | None = None
    listed: str | None = None


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison found; see `vai._core.Comparison`.

    Attributes:
        resource_version: the moment of the list.
        listed: objects in the list.
        equal: those of them that stand as listed.
        changed: objects that changed since, of which the list says nothing.
        missing: objects that the file lacks.
        extra: objects that only the file has.
        older: objects of which the file has another state.
        differences: the first thousand of these three, in key order.
    """

    resource_version: str
    listed: int
    equal: int
    changed: int
    missing: int
    extra: int
    older: int
    differences: tuple[Difference, ...]


_CLUSTER: Final = msgspec.json.Decoder(Cluster)
_RESOURCES: Final = msgspec.json.Decoder(list[Resource])
_SCOPES: Final = msgspec.json.Decoder(list[ScopeStatus])
_SCOPE: Final[msgspec.json.Decoder[ScopeStatus | None]] = msgspec.json.Decoder(ScopeStatus | None)
_CONSUMERS: Final = msgspec.json.Decoder(list[ConsumerStatus])
_COLUMNS: Final = msgspec.json.Decoder(list[Column])
_FIELDS: Final = msgspec.json.Decoder(list[Field])
_EVENTS: Final = msgspec.json.Decoder(dict[int, dict[str, int]])
_STATS: Final = msgspec.json.Decoder(dict[str, Any])
_TRAFFIC: Final = msgspec.json.Decoder(Traffic | None)


class Store:
    """A cluster file, opened as its one writer or as one of any number of readers.

    Thread-safe. Every call may raise ClosedError, ForkedError (in a child of the process that
    opened the file) and, from SQLite, CorruptError, DiskFullError or ReadOnlyError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Literal["writer", "reader"],
        *,
        live_within: float | timedelta = 30.0,
        **options: Any,
    ) -> None:
        """Open the file; a writer creates it if there is none.

        Args:
            path: the cluster file.
            mode: "writer" takes the lock; "reader" needs the file to exist.
            live_within: age of the last proof up to which a scope counts as live.
            **options: `commit_interval_ms`, `history_bytes`, `history_s`, `query_timeout_s`
                as in `vai._core.Store`.

        Raises:
            WriterRunningError: another process writes the file (mode "writer").
            NotFoundError: no such file (mode "reader").
            FileError: the file can't be used; it is left untouched.
        """
        within = live_within.total_seconds() if isinstance(live_within, timedelta) else live_within
        self._core = Core(os.fspath(path), mode, live_within_s=within, **options)
        self._pid = os.getpid()
        self._path = os.fspath(path)
        # Replaced as a whole and never changed: a lock could be held by a thread that a forked
        # child does not have.
        self._known_at = (Catalogue((), nearest), float("-inf"))

    def close(self) -> None:
        """Close the handle: idempotent, wakes its waits, commits what is queued.

        A no-op in a forked child, where the handle belongs to the parent.
        """
        if os.getpid() == self._pid:
            self._core.close()

    def check(self) -> None:
        """Raise ForkedError in a forked child, without touching any lock of the parent."""
        if os.getpid() != self._pid:
            raise ForkedError(
                f"{self._path} was opened by process {self._pid} before a fork: open it again in "
                "this process",
                opened_by=self._pid,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """Where the file is."""
        return self._core.path

    @property
    def mode(self) -> Literal["writer", "reader"]:
        """How this handle opened it."""
        return self._core.mode

    # identity and discovery

    def set_cluster(self, cluster: Cluster) -> None:
        """Bind the file to a cluster. Raises OtherClusterError when it holds another."""
        self._core.set_cluster(cluster.uid, cluster.verified, cluster.server, cluster.namespace)

    def cluster(self) -> Cluster | None:
        """Whose copy this is; None while nothing was synced."""
        raw = self._core.cluster()
        return None if raw is None else _CLUSTER.decode(raw)

    def put_resources(self, resources: Sequence[Resource]) -> None:
        """Record what discovery found, most preferred first, in place of what was recorded."""
        self._core.put_resources(msgspec.json.encode(resources))
        self._refresh()

    def resources(self) -> Catalogue:
        """What discovery found; empty while nothing was synced."""
        catalogue, at = self._known_at
        fresh = len(catalogue) and time.monotonic() - at < _CATALOGUE_S
        return catalogue if fresh else self._refresh()

    @crossing
    def resolve(self, word: str) -> Resource:
        """The resource that kubectl would take for this word.

        Raises:
            UnknownResourceError: none; `.nearest` has the closest names.
            NotSyncedError: nothing is known yet of the cluster's resources.
        """
        try:
            return self._known().resolve(word)
        except UnknownResourceError:
            self._refresh()
            return self._known().resolve(word)

    def _known(self) -> Catalogue:
        catalogue = self.resources()
        if not len(catalogue):
            raise NotSyncedError(f"never synced: {self.path} knows no resources yet")
        return catalogue

    def _refresh(self) -> Catalogue:
        catalogue = Catalogue(_RESOURCES.decode(self._core.resources()), nearest)
        self._known_at = (catalogue, time.monotonic())
        return catalogue

    def put_document(self, name: str, body: bytes) -> None:
        """Record a document of the server (OpenAPI, version) under a name."""
        self._core.put_document(name, body)

    def document(self, name: str) -> bytes | None:
        """A recorded document."""
        return self._core.document(name)

    # scopes

    @crossing
    def ensure_scope(
        self,
        resource: Resource,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        redaction: Redaction = Redaction.NONE,
        *,
        drop: Sequence[str] = (),
    ) -> int:
        """Id of the scope, made if new."""
        return self._core.ensure_scope(
            resource.name, namespace, label_selector, field_selector, redaction.value, list(drop)
        )

    def scopes(self) -> list[ScopeStatus]:
        """Every scope with its freshness, true for this moment in any process."""
        return _SCOPES.decode(self._core.scope_status())

    def scope(self, scope: int) -> ScopeStatus | None:
        """The same of one; None where it is not in the file."""
        return _SCOPE.decode(self._core.status_of(scope))

    def freshness(self, scopes: Sequence[int]) -> Freshness:
        """Of an answer from these scopes: the worst state, the largest age."""
        wanted = frozenset(scopes)
        return Freshness.worst(found.freshness for found in self.scopes() if found.id in wanted)

    def checkpoint(self, scope: int) -> tuple[str | None, bool]:
        """(resourceVersion to resume the watch from or None, whether a relist is needed)."""
        return self._core.checkpoint(scope)

    def resume(self, scope: int) -> tuple[str | None, bool]:
        """The same, and the scope begins again there: `flush` no longer raises what it lost."""
        return self._core.resume(scope)

    def void_checkpoint(self, scope: int | None, reason: str) -> None:
        """The checkpoint of one scope or of all no longer counts; rows stay, served as stale."""
        self._core.void_checkpoint(scope, reason)

    def forget(self, scope: int) -> int:
        """Delete a scope with its rows and history. Returns the objects deleted."""
        return self._core.forget(scope)

    def remove_rows(self, scope: int) -> int:
        """The resource is gone from the server: delete the rows through the history."""
        return self._core.remove_rows(scope)

    def columns(self, resource: Resource) -> list[Column]:
        """The printer columns last seen for the resource; empty if none were."""
        raw = self._core.columns(resource.name)
        return [] if raw is None else _COLUMNS.decode(raw)

    def fields(self, resource: Resource | None = None) -> list[Field]:
        """The fields that a resource is indexed by, or all; no object is read for that."""
        return _FIELDS.decode(self._core.fields(None if resource is None else resource.name))

    @crossing
    def index(
        self, resource: Resource, path: str, kind: str = "text", *, many: bool | None = None
    ) -> None:
        """Index one more field from now on; returns before it is built.

        Raises ReadOnlyError for a reader, InvalidRequestError for a path or type that are none.
        """
        self._core.index(resource.name, path, kind, many)

    @crossing
    def unindex(self, resource: Resource, path: str) -> None:
        """Drop a field that `index` added. Raises ReadOnlyError or UnknownFieldError."""
        self._core.unindex(resource.name, path)

    def stats(self) -> dict[str, Any]:
        """File and WAL bytes, epoch, seq, floor, bytes written, the writer's pid."""
        return _STATS.decode(self._core.stats())

    # freshness, told by the code that read the bytes

    def set_state(self, scope: int, state: State, reason: str = "") -> None:
        """Record how the scope stands towards the API server."""
        if state is State.NEVER:
            raise ValueError("never is what a scope starts as; it can't be set")
        # The stub names the values one by one; a StrEnum's value is any str to a type checker.
        self._core.set_state(scope, cast("Any", state.value), reason)

    def heard(self, scope: int) -> None:
        """The API server answered something about this scope right now."""
        self._core.heard(scope)

    def count(self, scope: int, verb: str, more: RequestCount) -> None:
        """Add to what was asked of the server about a scope; 0 for the cluster as a whole."""
        self._core.count(
            scope, verb, more.requests, more.received_bytes, more.retries, more.throttled
        )

    def traffic(self) -> Traffic | None:
        """What the writer asked the server for; None where nobody knows any more."""
        return cast("Traffic | None", _TRAFFIC.decode(self._core.traffic()))

    def proven(self, scope: int, at_boottime_s: float) -> None:
        """Complete as of that moment; counts when all that was pushed before is durable."""
        self._core.proven(scope, at_boottime_s)

    # sync

    def begin_list(self, scope: int, *, polled: bool = False) -> Listing:
        """Start one LIST of a scope; `polled`: of one that can't be watched."""
        return self._core.begin_list(scope, polled)

    def begin_watch(self, scope: int, *, gzip: bool = False) -> Watching:
        """Start to feed one WATCH stream of a scope."""
        return self._core.begin_watch(scope, gzip)

    def events(self) -> dict[int, dict[str, int]]:
        """What came in watches since this handle was opened: by scope, then by type."""
        return _EVENTS.decode(self._core.events())

    def begin_comparison(self, scope: int) -> Comparison:
        """Start to compare a scope with a list of its metadata."""
        return self._core.begin_comparison(scope)

    def checked(self, scope: int, note: str = "") -> None:
        """The scope was compared with the server right now; or why it was not."""
        self._core.checked(scope, note)

    def check_part(self, part: Literal["integrity", "rows", "bodies"]) -> list[str]:
        """What is wrong with the file; see `vai._core.Store.check_part`."""
        return self._core.check_part(part)

    def flush(self, scope: int | None = None) -> int:
        """Wait until all that was queued is committed. Returns the seq.

        Raises:
            VaiError: what kept a batch of this scope (None: of any) from being committed, for
                example DiskFullError, until the scope begins again: a list, a watch, or `resume`.
        """
        return self._core.flush(scope)

    # reading

    @crossing
    def get(self, resource: Resource, namespace: str | None, name: str) -> Row | None:
        """None = proven absent. Raises NotSyncedError or NotKeptError where that is unknown."""
        return self._core.get(resource.name, namespace, name)

    def rows(
        self,
        resource: Resource,
        namespaces: Sequence[str] | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Rows:
        """All matching objects of one moment, in key order; errors as `query`."""
        return self.query(
            Request(
                resources=(resource.name,),
                namespaces=None if namespaces is None else tuple(namespaces),
                label_selector=label_selector,
                field_selector=field_selector,
            )
        )

    @crossing
    def query(self, request: Request) -> Rows:
        """Anything that can be asked; see `vai._core.Store.query`.

        InvalidExpressionError and UnknownFieldError have their position in characters, and as
        `details["text"]` the expression, sort key or field that they are about.
        """
        return self._core.query(msgspec.json.encode(request))

    def position(self) -> Position:
        """The last commit."""
        return Position(*self._core.position())

    @crossing
    def changes(
        self,
        resources: Sequence[Resource],
        after: Position,
        *,
        namespaces: Sequence[str] | None = None,
        label_selector: str = "",
        field_selector: str = "",
        where: str = "",
    ) -> Changes:
        """History after that position, of objects that pass the filters.

        Raises ExpiredError if it does not reach back.
        """
        return self._core.changes(
            [found.name for found in resources],
            after.epoch,
            after.seq,
            None if namespaces is None else list(namespaces),
            label_selector,
            field_selector,
            where,
        )

    def oldest(self, resources: Sequence[Resource]) -> Position:
        """The oldest position from which all of them can be followed."""
        return Position(*self._core.oldest([found.name for found in resources]))

    @crossing
    def position_at(self, unix_s: float) -> Position:
        """Behind the last change that was committed at or before a Unix time."""
        return Position(*self._core.position_at(int(unix_s * 1000)))

    @crossing
    def relations(
        self,
        resource: Resource,
        key: str,
        *,
        owners: bool = False,
        depth: int = 0,
        neighbours: bool = False,
    ) -> Relations:
        """See `vai._core.Store.relations`."""
        return self._core.relations(resource.name, key, owners, depth, neighbours)

    @crossing
    def consumer(self, name: str) -> Consumer:
        """Become the consumer of a name. Raises ConsumerBusyError while another one is that."""
        return self._core.consumer(name)

    def consumers(self) -> list[ConsumerStatus]:
        """All named consumers, by name."""
        return _CONSUMERS.decode(self._core.consumers())

    @crossing
    def forget_consumer(self, name: str) -> bool:
        """Delete a consumer's position; False if it has none."""
        return self._core.forget_consumer(name)

    def wait_seq(self, seq: int, timeout_s: float) -> int:
        """Wait for a commit newer than `seq`. Returns the last commit's seq."""
        return self._core.wait_seq(seq, timeout_s)

    def wait_status(self, generation: int, timeout_s: float) -> int:
        """Wait for a change of a scope's state after `generation`. Returns the new one."""
        return self._core.wait_status(generation, timeout_s)

    @crossing
    def export(
        self,
        asks: Sequence[ExportAsk],
        form: Literal["lines", "columns", "sqlite"],
        target: str | os.PathLike[str] | None = None,
    ) -> Export:
        """Begin to hand out whole resources of one moment; see `vai._core.Store.export`."""
        place = None if target is None else os.fspath(target)
        return self._core.export(msgspec.json.encode(asks), form, place)

    def check_export_target(self, target: str | os.PathLike[str], *, overwrite: bool) -> None:
        """Raise InvalidRequestError where an export may not go: cluster files, what exists."""
        self._core.check_export_target(os.fspath(target), overwrite)

    def backup(self, target: str | os.PathLike[str]) -> None:
        """Write a whole copy to a new file (0600). Raises FileError if the target exists."""
        self._core.backup(os.fspath(target))
