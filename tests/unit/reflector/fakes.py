"""A server and a file that do what a test tells them, and remember what they were asked."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self, cast

from vai.config import Settings
from vai.errors import VaiError
from vai.reflector import Hooks, Io, Link
from vai.store import Store
from vai.types import Redaction, ScopeStatus, State

Json = dict[str, Any]
SCOPE = 7


def item(name: str, version: int) -> Json:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version)}}


def page(items: Iterable[Json], version: int, token: str = "") -> bytes:
    return json.dumps(
        {
            "metadata": {"resourceVersion": str(version), "continue": token},
            "items": list(items),
        }
    ).encode()


def event(kind: str, what: Json) -> bytes:
    return json.dumps({"type": kind, "object": what}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def initial_end(version: int) -> bytes:
    """The bookmark that ends a streaming list."""
    notes = {"k8s.io/initial-events-end": "true"}
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": notes}})


def error(code: int, message: str = "said no") -> bytes:
    return event("ERROR", {"code": code, "reason": "Expired", "message": message})


class FakeResponse:
    """Chunks, of which an exception is raised and a callable is called."""

    status = 200
    gzip = False

    def __init__(self, chunks: Iterable[Any]) -> None:
        self._rest = iter(chunks)
        self.closed = False
        self.limits: list[float] = []

    def limit(self, timeout_s: float) -> None:
        self.limits.append(timeout_s)

    def chunks(self) -> Iterator[bytes]:
        for chunk in self._rest:
            if self.closed:
                return
            if isinstance(chunk, BaseException):
                raise chunk
            if callable(chunk):
                chunk()
                continue
            yield chunk

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class FakeServer:
    """A ListerWatcher that gives the prepared answers in their order."""

    group = ""

    def __init__(self) -> None:
        self.lists: list[Any] = []
        self.streams: list[Any] = []
        self.watches: list[Any] = []
        self.probes: list[Any] = []
        self.asked: list[tuple[Any, ...]] = []

    def list_page(self, limit: int, continue_token: str = "") -> FakeResponse:
        self.asked.append(("list", limit, continue_token))
        return FakeResponse(self._next(self.lists))

    def stream_list(self, timeout_s: int) -> FakeResponse:
        assert timeout_s
        self.asked.append(("stream",))
        return FakeResponse(self._next(self.streams))

    def watch(self, resource_version: str, timeout_s: int) -> FakeResponse:
        self.asked.append(("watch", resource_version, timeout_s))
        return FakeResponse(self._next(self.watches))

    def probe(self) -> str:
        self.asked.append(("probe",))
        return str(self._next(self.probes))

    def names(self) -> list[str]:
        return [asked[0] for asked in self.asked]

    @staticmethod
    def _next(prepared: list[Any]) -> Any:
        answer = prepared.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return [answer] if isinstance(answer, bytes) else answer


@dataclass
class _Page:
    resource_version: str
    continue_token: str
    items: int


@dataclass
class _Progress:
    events: int = 0
    bookmarks: int = 0
    resource_version: str = ""
    initial_events_end: bool = False
    status: bytes | None = None
    malformed: str | None = None


@dataclass
class FakeListing:
    store: FakeStore
    rows: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    done: str = ""
    rest: bytes = b""
    end: str = ""

    def begin_page(self, gzip: bool = False) -> None:  # noqa: FBT002
        assert not gzip
        self.body = b""

    def push(self, chunk: bytes) -> None:
        self.body += chunk

    def end_page(self) -> _Page:
        try:
            found = json.loads(self.body)
        except ValueError:
            raise VaiError("not JSON", kind="malformed") from None
        if found.get("kind") == "Status":
            raise VaiError(found["message"], **{**found, "kind": "status"})
        for one in found["items"]:
            self.rows[one["metadata"]["name"]] = one["metadata"]["resourceVersion"]
        meta = found["metadata"]
        return _Page(meta["resourceVersion"], meta.get("continue", ""), len(found["items"]))

    def begin_stream(self, gzip: bool = False) -> None:  # noqa: FBT002
        assert not gzip

    def push_events(self, chunk: bytes) -> _Progress:
        self.rest += chunk
        progress = _Progress()
        while b"\n" in self.rest and not progress.initial_events_end:
            line, self.rest = self.rest.split(b"\n", 1)
            self._take(line, progress)
        return progress

    def _take(self, line: bytes, progress: _Progress) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            progress.malformed = "not JSON"
            return
        what = found["object"]
        if found["type"] == "ERROR":
            progress.status = json.dumps(what).encode()
        elif found["type"] == "BOOKMARK":
            notes = what["metadata"].get("annotations", {})
            if notes.get("k8s.io/initial-events-end") == "true":
                progress.initial_events_end = True
                self.end = progress.resource_version = what["metadata"]["resourceVersion"]
        elif found["type"] == "DELETED":
            self.rows.pop(what["metadata"]["name"], None)
        else:
            self.rows[what["metadata"]["name"]] = what["metadata"]["resourceVersion"]

    def publish_stream(self) -> FakeWatching:
        assert self.end
        self.publish(self.end)
        return FakeWatching(self.store, self.rest)

    def plan(self) -> tuple[int, int, int]:
        old = self.store.rows
        same = sum(old.get(name) == version for name, version in self.rows.items())
        return same, len(self.rows) - same, len(set(old) - set(self.rows))

    def publish(self, resource_version: str) -> tuple[int, int, int]:
        self.done = "published"
        self.store.rows = dict(self.rows)
        self.store.position = resource_version
        self.store.needs_relist = False
        self.store.complete = True
        self.store.log.append(("publish", resource_version))
        return 0, 0, 0

    def abort(self) -> None:
        self.done = "aborted"


@dataclass
class FakeWatching:
    store: FakeStore
    rest: bytes = b""

    def push(self, chunk: bytes) -> _Progress:
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        progress = _Progress()
        for line in lines:
            self._take(line, progress)
        if progress.malformed is None and progress.resource_version:
            self.store.position = progress.resource_version
        return progress

    def _take(self, line: bytes, progress: _Progress) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            progress.malformed = "not JSON"
            self.store.needs_relist = True
            return
        what = found["object"]
        if found["type"] == "ERROR":
            progress.status = json.dumps(what).encode()
            return
        progress.resource_version = what["metadata"]["resourceVersion"]
        if found["type"] == "BOOKMARK":
            progress.bookmarks += 1
            return
        progress.events += 1
        name = what["metadata"]["name"]
        if found["type"] == "DELETED":
            self.store.rows.pop(name, None)
        else:
            self.store.rows[name] = progress.resource_version

    def finish(self) -> None:
        if self.rest:
            raise VaiError("inside a frame", kind="malformed")


class FakeStore:
    """What a reflector writes to; `log` has what it was told, in order."""

    def __init__(self, position: str | None = None, rows: dict[str, str] | None = None) -> None:
        self.position = position
        self.rows = rows or {}
        self.complete = position is not None
        self.needs_relist = False
        self.log: list[tuple[Any, ...]] = []
        self.listings: list[FakeListing] = []
        self.told_s = 0
        self.age_s: float | None = None
        #: Why rows are not in the file.
        self.lost: VaiError | None = None

    def scope(self, scope: int) -> ScopeStatus | None:
        assert scope == SCOPE
        return ScopeStatus(
            id=SCOPE, resource="pods", namespace=None, label_selector="", field_selector="",
            redaction=Redaction.NONE, state=State.STALE, complete=self.complete,
            age_s=self.age_s, contact_age_s=None, since_s=0, reason="", objects=len(self.rows),
            resource_version=self.position,
        )  # fmt: skip

    def checkpoint(self, scope: int) -> tuple[str | None, bool]:
        assert scope == SCOPE
        return self.position, self.needs_relist

    def resume(self, scope: int) -> tuple[str | None, bool]:
        assert scope == SCOPE
        self.lost = None
        return self.position, self.needs_relist

    def void_checkpoint(self, scope: int | None, reason: str) -> None:
        self.needs_relist = True
        self.log.append(("void", scope, reason))

    def remove_rows(self, scope: int) -> int:
        assert scope == SCOPE
        self.log.append(("remove",))
        self.rows, gone = {}, len(self.rows)
        return gone

    def set_state(self, scope: int, state: State, reason: str = "") -> None:
        assert scope == SCOPE
        self.log.append((state, reason))

    def heard(self, scope: int) -> None:
        assert scope == SCOPE

    def proven(self, scope: int, at_boottime_s: float) -> None:
        assert scope == SCOPE
        self.log.append(("proven", at_boottime_s))

    def flush(self, scope: int | None = None) -> int:
        assert scope == SCOPE
        self.log.append(("flush",))
        if self.lost is not None:
            raise self.lost
        return 0

    def begin_list(self, scope: int, *, polled: bool = False) -> FakeListing:
        assert scope == SCOPE
        if polled:
            self.log.append(("polled", polled))
        self.listings.append(FakeListing(self))
        return self.listings[-1]

    def begin_watch(self, scope: int, *, gzip: bool = False) -> FakeWatching:
        assert scope == SCOPE
        assert not gzip
        return FakeWatching(self)

    def states(self) -> list[State]:
        return [entry[0] for entry in self.log if isinstance(entry[0], State)]

    def last(self) -> tuple[State, str]:
        told = [entry for entry in self.log if isinstance(entry[0], State)]
        return told[-1][0], told[-1][1]

    def proofs(self) -> list[float]:
        return [entry[1] for entry in self.log if entry[0] == "proven"]


class FakeHooks(Hooks):
    """Answers as told, and remembers."""

    def __init__(self) -> None:
        self.served: list[bool | None] = []
        self.back: list[str] = []
        self.reconnects: list[BaseException | None] = []

    def is_served(self) -> bool | None:
        return self.served.pop(0)

    def reconnected(self, lost_at: float) -> None:
        assert lost_at
        outcome = self.reconnects.pop(0)
        if outcome is not None:
            raise outcome

    def went_back(self, reason: str) -> None:
        self.back.append(reason)


def compare(a: str, b: str) -> int | None:
    if not (a.isdecimal() and b.isdecimal()):
        return None
    return (int(a) > int(b)) - (int(a) < int(b))


class FakeLink(Link):
    """Waits take no time of the test's, and all that was asked for of the world's."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def wait(self, seconds: float, ended: Callable[[], bool], since: int | None = None) -> bool:
        self._world.now_s += seconds
        return ended() or (since is not None and since != self.heard)


class World:
    """A machine's surroundings: time passes only in waits and where a chunk says so."""

    def __init__(
        self,
        position: str | None = None,
        rows: dict[str, str] | None = None,
        *,
        streams: bool = False,
    ) -> None:
        self.server = FakeServer()
        self.store = FakeStore(position, rows)
        self.hooks = FakeHooks()
        self.now_s = 1000.0
        boot = itertools.count(1)
        self.io = Io(
            source=cast("Any", self.server),
            store=cast("Store", self.store),
            scope=SCOPE,
            settings=Settings(streaming_lists="always" if streams else "never"),
            compare=compare,
            boottime_s=lambda: float(next(boot)),
            hooks=self.hooks,
            link=FakeLink(self),
            clock=lambda: self.now_s,
            draw=lambda: 0.0,
            complete=position is not None,
        )

    def passing(self, seconds: float) -> Callable[[], None]:
        """A chunk that only takes time."""

        def pass_time() -> None:
            self.now_s += seconds

        return pass_time
