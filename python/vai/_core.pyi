"""The compiled core: one cluster file, its writer, its feeds and its readers.

Only `vai.store` imports this module. Arguments are taken, the GIL is released, Rust works, the
result is wrapped. Rare structured values cross as JSON bytes that `vai.store` decodes with msgspec
into the types of `vai.types`; objects cross as the bytes that the API server sent.

Every call may raise `vai.errors.ForkedError` (in a child of the process that opened the file),
`vai.errors.ClosedError`, and, from SQLite, `CorruptError`, `DiskFullError` or `ReadOnlyError`.
"""

from collections.abc import Sequence
from typing import Literal, final

from typing_extensions import Buffer

__all__ = [
    "ChangeRow",
    "Changes",
    "Comparison",
    "Consumer",
    "Export",
    "ExportPiece",
    "HttpAnswer",
    "ListPage",
    "Listing",
    "RelatedRow",
    "Relations",
    "Row",
    "Rows",
    "Store",
    "WatchProgress",
    "Watching",
    "__version__",
    "after_fork_in_child",
    "after_fork_in_parent",
    "before_fork",
    "boottime_s",
    "build_profile",
    "compare_resource_versions",
    "field_name",
    "nearest",
    "parse_drop",
    "parse_field_selector",
    "parse_label_selector",
    "sqlite_version",
]

__version__: str
build_profile: Literal["release", "debug"]
sqlite_version: str

def parse_label_selector(text: str) -> str:
    """The selector in canonical form. Raises InvalidSelectorError with its position."""

def parse_field_selector(text: str) -> str:
    """The selector in canonical form. Raises InvalidSelectorError with its position."""

def parse_drop(paths: Sequence[str]) -> list[str]:
    """Paths to leave out of every object: canonical, in order, none inside another.

    Raises InvalidRequestError for what is no path of keys, or what vai itself needs.
    """

def compare_resource_versions(a: str, b: str) -> int | None:
    """-1, 0 or 1; None where either is not a canonical decimal number (incomparable)."""

def boottime_s() -> float:
    """CLOCK_BOOTTIME in seconds: goes on while the machine sleeps, the same in every process."""

def before_fork() -> None:
    """For `os.register_at_fork`: wait until no thread is inside the core, and keep others out.

    A forked child would keep every lock locked that another thread held. Waits 2 s at most.
    """

def after_fork_in_parent() -> None:
    """Let the threads in again."""

def after_fork_in_child() -> None:
    """The child's one thread may enter."""

def field_name(path: str, kind: str, many: bool | None = None) -> str:
    """What a field of this path is called: `spec.priority`.

    Raises InvalidRequestError for a path or a type that are none, or that do not go together.
    """

def nearest(word: str, known: list[str], limit: int = 3) -> list[str]:
    """The known names closest to `word` by edit distance, best first."""

@final
class Row:
    """One stored object. Reading its attributes decodes nothing."""

    @property
    def resource(self) -> str: ...  # "pods", "deployments.apps"
    @property
    def key(self) -> str: ...  # "ns/name" or "name"
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def seq(self) -> int: ...
    @property
    def redacted(self) -> bool: ...
    @property
    def raw(self) -> bytes: ...  # the object's JSON, decompressed on each access
    @property
    def cells(self) -> bytes | None: ...  # JSON array: the server's printer cells

@final
class Rows:
    """Stored objects of one moment, in the order asked for; bodies stay compressed until read."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Row: ...
    def find(self, key: str) -> int | None:
        """Index of the row with this key; binary search where keys are the order."""
    def keys(self) -> list[str]: ...
    @property
    def epoch(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def scopes(self) -> list[int]: ...  # ids of the scopes that the answer came from
    @property
    def resource_version(self) -> str: ...  # of the one scope it came from; "" if of several
    @property
    def total(self) -> int: ...  # of all matching objects, not only of this page
    @property
    def cursor(self) -> str | None: ...  # for the next page; None at the end
    @property
    def known_since_s(self) -> float | None:
        """Unix time since when the state of a past moment was known, if it lies in a gap."""
    @property
    def counted(self) -> bytes:
        """JSON object with `facets`, `distinct` and `groups`, as far as they were asked for.

        facets: `{field: {"values": [{"value", "count"}, ...], "distinct": n, "missing": n}}`, most
        frequent first. distinct: `{"values": [{"value", "count"}, ...], "more": bool}`, in order.
        groups: `[{"key": {field: value}, "count": n, "sum": {}, "min": {}, "max": {}}, ...]`.
        """
    @property
    def explain(self) -> bytes | None:
        """JSON object with `resources`, `steps` (`step`, `rows`, `us`), `total` and `advice`."""
    def list_json(self, kind: str, api_version: str, continue_token: str = "") -> bytes:
        """A Kubernetes List of the rows as JSON bytes; no JSON is parsed on the way."""

@final
class ChangeRow:
    """One entry of the history."""

    @property
    def seq(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def op(self) -> Literal["add", "update", "delete"]: ...
    @property
    def resource(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...
    @property
    def relist(self) -> bool: ...  # found by a relist, not by a watch event
    @property
    def time_s(self) -> float: ...  # Unix time of the commit
    @property
    def new(self) -> bytes | None: ...  # None for a delete
    @property
    def old(self) -> bytes | None: ...  # None for an add, or where history was pruned

@final
class RelatedRow:
    """An object in relation to another."""

    @property
    def how(self) -> Literal["owner", "dependent", "selects", "selected-by", "uses", "used-by"]: ...
    @property
    def depth(self) -> int: ...  # 1: its own
    @property
    def resource(self) -> str: ...  # the kind, where the cluster has no such resource
    @property
    def key(self) -> str: ...
    @property
    def uid(self) -> str: ...  # "" if not known
    @property
    def controller(self) -> bool: ...
    @property
    def missing(self) -> Literal["", "absent", "unknown"]: ...  # why there is no body
    @property
    def body(self) -> bytes | None: ...

@final
class Relations:
    """An object and the others in relation to it, of one moment."""

    @property
    def body(self) -> bytes: ...
    @property
    def owners(self) -> list[RelatedRow]: ...  # each before its own owners, controllers first
    @property
    def dependents(self) -> list[RelatedRow]: ...  # each before its own, by resource and key
    @property
    def neighbours(self) -> list[RelatedRow]: ...  # by how they are related

@final
class ListPage:
    """What a finished page says of itself."""

    @property
    def resource_version(self) -> str: ...
    @property
    def continue_token(self) -> str: ...  # "" on the last page
    @property
    def remaining(self) -> int | None: ...

@final
class Listing:
    """One LIST of a scope, page by page: staged, then published in one transaction.

    A scope's first list is visible at once (state `listing`); a relist is invisible until
    `publish`, and is dropped by `abort`, by a kill, or by a new listing of the same scope.
    """

    def begin_page(self, gzip: bool = False) -> None: ...
    def push(self, chunk: Buffer) -> None:
        """Queue response bytes; they are taken apart on another thread.

        Raises vai.errors.VaiError for a page (this one or one before) that is malformed or is a
        Status; `.details` then has `kind` = "malformed" | "status" and, for a Status, `code`,
        `reason` and `message`. `end_page`, `plan` and `publish` raise it as well.
        """
    def end_page(self) -> ListPage:
        """The response has ended.

        Returns as soon as the page's head is known, so that the next page can be asked for while
        this one's objects are still being read.
        """
    def begin_stream(self, gzip: bool = False) -> None:
        """The list comes as a stream of events (`sendInitialEvents`) instead of pages."""
    def push_events(self, chunk: Buffer) -> WatchProgress:
        """Take bytes of that stream, up to `initial_events_end`; raises as `push`.

        Objects may change and go on the way; `resource_version` is that of the last bookmark,
        `malformed` makes the list useless. What follows the bookmark is kept for the watch.
        """
    def plan(self) -> tuple[int, int, int]:
        """(unchanged, changed, removed): what `publish` would do. Objects, counted."""
    def publish(self, resource_version: str) -> tuple[int, int, int]:
        """Make the list the scope's state and `resource_version` its checkpoint.

        Returns (adds, updates, deletes). Returns when it is committed.
        """
    def publish_stream(self) -> Watching:
        """The same for a stream, as of its bookmark; the watch goes on with the same bytes.

        An empty chunk takes what came behind the bookmark already.
        """
    def abort(self) -> None: ...

@final
class Comparison:
    """A scope compared with a list of its metadata, while its watch goes on; it only reads.

    Objects are looked up as the list arrives; what does not stand as listed waits for `finish`.
    Memory: a bit for each object, and what differs.
    """

    def begin_page(self, gzip: bool = False) -> None: ...
    def push(self, chunk: Buffer) -> None:
        """Response bytes of a List or Table with metadata; errors as `Listing.push`."""
    def end_page(self) -> ListPage:
        """The response has ended.

        Raises InvalidRequestError for a list whose resourceVersion is no number.
        """
    def finish(self) -> bytes:
        """JSON of vai.store.Compared; to be asked once the rows have reached the list.

        What changed after the list is left aside. Raises InvalidRequestError where the scope is
        to be listed again.
        """
    def count(self) -> int:
        """How many objects there were at the list's moment, as the history tells."""

@final
class WatchProgress:
    """What one pushed chunk contained."""

    @property
    def events(self) -> int: ...
    @property
    def bookmarks(self) -> int: ...
    @property
    def resource_version(self) -> str: ...  # the last one seen on this stream
    @property
    def initial_events_end(self) -> bool: ...
    @property
    def status(self) -> bytes | None: ...  # JSON Status of an ERROR event; the stream is over
    @property
    def malformed(self) -> str | None: ...  # what was wrong with a frame; the scope needs a relist

@final
class Watching:
    """One WATCH stream of a scope. Events are queued to the writer in order.

    Commits happen at once for a lone event, else at most every 10 ms. The checkpoint moves in the
    same transaction as the rows that it covers. A malformed frame marks the scope in that same
    transaction as needing a relist.
    """

    def push(self, chunk: Buffer) -> WatchProgress: ...
    def finish(self) -> None:
        """The stream ended; raises VaiError(kind="malformed") if inside a frame."""

@final
class HttpAnswer:
    """One answer to a GET over HTTP/1.1, taken apart as its bytes come. It knows no connection."""

    def __init__(self) -> None: ...
    def push(self, chunk: Buffer) -> bytes:
        """Take bytes of the connection; those of the body that are in them.

        Raises ValueError for what is no HTTP: the connection is then of no use any more.
        """
    def finish(self) -> None:
        """The connection was closed; raises ValueError if that is not the end of the answer."""
    @property
    def status(self) -> int | None: ...  # None until the head has come
    def headers(self) -> dict[str, str]:
        """Names in lower case; several values of one are joined by commas."""
    @property
    def is_whole(self) -> bool: ...
    @property
    def is_reusable(self) -> bool: ...  # whether the connection may be used for another request

@final
class Changes:
    """A cursor over the history of some resources."""

    def next_batch(self, limit: int, timeout_s: float) -> list[ChangeRow]:
        """Wait for at most `timeout_s`; an empty list is a timeout. Raises ExpiredError.

        It also comes back empty, and not `at_end`, when much was read that did not pass.
        """
    @property
    def at_end(self) -> bool: ...
    @property
    def epoch(self) -> int: ...
    @property
    def seq(self) -> int: ...  # up to here everything was given out, or was not asked for

@final
class Consumer:
    """The right to be the consumer of a name, until `release` or its end.

    Its position is in `FILE.consumers`: it survives the end of the process at once, and a power
    loss after a second. One handle in one process at a time; the lock falls with its process.
    """

    @property
    def name(self) -> str: ...
    @property
    def position(self) -> tuple[int, int] | None:
        """Everything up to here was handled; None for a new consumer.

        Raises ExpiredError for a position in another file's history.
        """
    def follow(self, resources: list[str], epoch: int, seq: int) -> None:
        """Record where it begins, and what it follows."""
    def ack(self, epoch: int, seq: int) -> None:
        """Everything up to here was handled: one write of about 0.15 ms, one fsync per second."""
    def idle(self, epoch: int, seq: int) -> None:
        """Nothing up to here concerns it: as `ack`, at most once a second."""
    def release(self) -> None:
        """Another one may be this consumer. Idempotent."""

@final
class ExportPiece:
    """Some objects of one part of an export."""

    @property
    def part(self) -> int: ...  # index into Export.parts()
    @property
    def objects(self) -> int: ...
    @property
    def data(self) -> bytes: ...  # in the form asked for; empty for "sqlite"

@final
class Export:
    """An export under way in a thread of its own, which holds 1 MB of objects, or one object."""

    def parts(self) -> bytes:
        """JSON array of vai.store.ExportPart: what belongs to it, in the order asked for."""
    def next_piece(self, timeout_s: float) -> ExportPiece | None:
        """The next piece; None when none came in time, or `ended`.

        Raises ExpiredError when pieces were taken so slowly that the history lost what an object
        was when the export began.
        """
    @property
    def ended(self) -> bool: ...
    def close(self) -> None:
        """Stop; a database that is not whole is removed. Idempotent."""

@final
class Store:
    """A cluster file, opened by its one writer or by one of any number of readers."""

    def __new__(
        cls,
        path: str,
        mode: Literal["writer", "reader"],
        live_within_s: float = 30.0,
        commit_interval_ms: int = 10,
        history_bytes: int = 67108864,
        history_s: float = 900.0,
        query_timeout_s: float = 30.0,
    ) -> Store:
        """Open (a writer: or create) the file.

        Raises:
            WriterRunningError: another process writes it (mode "writer").
            NotAVaiFileError, SchemaTooNewError, CorruptError, ReadOnlyError, DiskFullError:
                about the file, which is left untouched.
            NotFoundError: no such file (mode "reader").
        """
    def close(self) -> None:
        """Idempotent. Wakes every wait of this handle; the writer commits what is queued."""
    @property
    def path(self) -> str: ...
    @property
    def mode(self) -> Literal["writer", "reader"]: ...

    # identity and discovery
    def set_cluster(self, uid: str, verified: bool, server: str, namespace: str) -> None:
        """Bind the file to a cluster. Raises OtherClusterError when it holds another."""
    def cluster(self) -> bytes | None:
        """JSON of vai.types.Cluster, or None while unbound."""
    def put_resources(self, resources: bytes) -> None:
        """JSON array of vai.types.Resource: what discovery found, replacing what was recorded."""
    def resources(self) -> bytes:
        """JSON array of vai.types.Resource, most preferred first."""
    def put_document(self, name: str, body: bytes) -> None: ...
    def document(self, name: str) -> bytes | None: ...

    # scopes
    def ensure_scope(
        self,
        resource: str,
        namespace: str | None,
        label_selector: str,
        field_selector: str,
        redaction: Literal["none", "metadata"],
        drop: list[str] = ...,
    ) -> int:
        """Id of the scope, made if new. `resource` is a recorded `plural[.group]`.

        `drop`: paths that are left out of every object; a part of what makes the scope.
        """
    def checkpoint(self, scope: int) -> tuple[str | None, bool]:
        """(resourceVersion to resume the watch from or None, whether a relist is needed)."""
    def resume(self, scope: int) -> tuple[str | None, bool]:
        """The same, and the scope begins again there: `flush` no longer raises what it lost."""
    def void_checkpoint(self, scope: int | None, reason: str) -> None:
        """The checkpoint of one scope or of all (None) no longer counts.

        Rows stay, served as stale, until the next list replaces them.
        """
    def forget(self, scope: int) -> int:
        """Delete a scope with its rows and history. Returns the objects deleted."""
    def remove_rows(self, scope: int) -> int:
        """The resource is gone from the server: delete the rows through the history."""
    def columns(self, resource: str) -> bytes | None:
        """JSON array of the Table column definitions last seen for the resource."""
    def scope_status(self) -> bytes:
        """JSON array of vai.types.ScopeStatus: true for this moment, in any process."""
    def status_of(self, scope: int) -> bytes:
        """The same of one scope; `null` where it is not in the file."""
    def fields(self, resource: str | None = None) -> bytes:
        """JSON array of `vai.types.Field`: of a resource, or of all."""
    def index(self, resource: str, path: str, kind: str = "text", many: bool | None = None) -> None:
        """Have the writer index a field from now on; the file remembers it.

        Returns once that is durable, before the field is built: `fields` tells how far it is. The
        same field again changes nothing, nor does one that the resource has anyway; another type
        builds it anew. Raises ReadOnlyError for a reader, InvalidRequestError for a path or a type
        that are none, and for another type of a field of vai's own or of a CRD,
        UnknownResourceError.
        """
    def unindex(self, resource: str, path: str) -> None:
        """Drop a field that `index` added. Raises ReadOnlyError or UnknownFieldError."""
    def stats(self) -> bytes:
        """JSON object: file and WAL bytes, epoch, seq, floor, bytes written, writer pid."""

    # freshness, told by the code that read the bytes
    def set_state(
        self,
        scope: int,
        state: Literal["listing", "catching-up", "live", "stale", "offline", "forbidden", "gone"],
        reason: str = "",
    ) -> None: ...
    def heard(self, scope: int) -> None:
        """The API server answered something about this scope right now."""
    def count(
        self,
        scope: int,
        verb: str,
        requests: int,
        received_bytes: int,
        retries: int,
        throttled: int,
    ) -> None:
        """Add to what was asked of the server about a scope; 0 for the cluster as a whole."""
    def traffic(self) -> bytes:
        """JSON of `vai.types.Traffic`, or null: of this writer, or as another one last told."""
    def proven(self, scope: int, at_boottime_s: float) -> None:
        """Complete as of that moment. Takes effect after all that was pushed before is durable."""

    # sync
    def begin_list(self, scope: int, polled: bool = False) -> Listing:
        """`polled`: no watch follows, and objects may lack uid and resourceVersion."""
    def begin_watch(self, scope: int, gzip: bool = False) -> Watching: ...
    def events(self) -> bytes:
        """JSON object: what came in watches since this handle was opened, by scope and type."""
    def begin_comparison(self, scope: int) -> Comparison:
        """Raises InvalidRequestError for a scope that is not complete; readers may, too."""
    def checked(self, scope: int, note: str = "") -> None:
        """The scope was compared with the server right now; or why it was not."""
    def check_part(self, part: Literal["integrity", "rows", "bodies"]) -> list[str]:
        """What is wrong with the file, in words; empty for a sound one. Reads all of it.

        "integrity": SQLite's own check. "rows": rows against rows. "bodies": every body can be
        read, and what queries find objects by is what the body says: 8 bytes an object in memory.
        """
    def flush(self, scope: int | None = None) -> int:
        """Wait until all that was queued is committed. Returns the seq.

        Raises what kept a batch of this scope (None: of any) from being committed, for example
        DiskFullError, until the scope begins again: a list, a watch, or `resume`.
        """

    # reading
    def get(self, resource: str, namespace: str | None, name: str) -> Row | None:
        """None = proven absent. Raises NotSyncedError or NotKeptError where that is unknown."""
    def query(self, request: bytes) -> Rows:
        """What a request asks for, of one moment; `request` is JSON as `vai_core::query::Request`.

        The order is that of keys (bytes of `namespace/name`, etcd's order) where no other is asked
        for. `Row.cells` is None without `cells`. Cursors are pinned to the moment of their first
        page. Raises InvalidRequestError, InvalidExpressionError, InvalidSelectorError,
        UnknownFieldError, InvalidCursorError, StaleError (older than Steve's `revision`),
        ExpiredError (history does not reach back),
        NotSyncedError, NotKeptError or QueryTimeoutError.
        """
    def position(self) -> tuple[int, int]:
        """(epoch, seq) of the last commit."""
    def changes(
        self,
        resources: list[str],
        epoch: int,
        seq: int,
        namespaces: list[str] | None = None,
        label_selector: str = "",
        field_selector: str = "",
        condition: str = "",
    ) -> Changes:
        """History after that position, of objects that pass; see `Cache.changes`.

        Raises ExpiredError if it does not reach back.
        """
    def oldest(self, resources: list[str]) -> tuple[int, int]:
        """The oldest position that `changes` of all these resources can go on from."""
    def position_at(self, time_ms: int) -> tuple[int, int]:
        """Behind the last change committed at or before a Unix time, by a search in O(log n)."""

    def relations(
        self,
        resource: str,
        key: str,
        owners: bool = False,
        depth: int = 0,
        neighbours: bool = False,
    ) -> Relations:
        """The relations of an object as far as they are asked for, read in one snapshot.

        `depth`: of its dependents. `neighbours`: all that is one step away; who names it is found
        by fields of the catalogue, or in the bodies of its namespace. Raises NotFoundError,
        NotSyncedError, NotKeptError or QueryTimeoutError.
        """

    # named consumers
    def consumer(self, name: str) -> Consumer:
        """Become that consumer. Raises ConsumerBusyError while another one is."""
    def consumers(self) -> bytes:
        """JSON array of vai.types.ConsumerStatus."""
    def forget_consumer(self, name: str) -> bool:
        """Delete its position; False if it has none. Raises ConsumerBusyError while it runs."""
    def wait_seq(self, seq: int, timeout_s: float) -> int:
        """Wait until the last commit is newer than `seq` or the timeout passes.

        Returns the last commit's seq. Raises ClosedError when the handle is closed meanwhile.
        """
    def wait_status(self, generation: int, timeout_s: float) -> int:
        """Wait until a scope's recorded state changed after `generation`. Returns the new one."""
    def export(
        self,
        asks: bytes,
        form: Literal["lines", "columns", "sqlite"],
        target: str | None = None,
    ) -> Export:
        """Begin to hand out whole resources, all of one moment, each in key order.

        `asks`: JSON array of `{"resource", "namespaces", "label_selector", "field_selector"}`.
        "lines": bodies as the server sent them, one a line. "columns": JSON objects of columns
        `{"namespace": [...], "name": [...], ..., "body": [...]}`. "sqlite": a new database at
        `target`, under a temporary name until it is whole. Errors as `query`.
        """
    def check_export_target(self, target: str, overwrite: bool) -> None:
        """Raise InvalidRequestError where an export may not go: cluster files, what exists."""
    def backup(self, target: str) -> None:
        """VACUUM INTO a new file (0600). Raises FileError if the target exists."""
