"""The background of a writer: discovery, identity, and one reflector per scope."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from vai.config import Settings
from vai.errors import (
    ClosedError,
    DiskFullError,
    FileError,
    ForbiddenError,
    InvalidRequestError,
    OfflineError,
    OtherClusterError,
    ReadOnlyError,
    UnknownResourceError,
    VaiError,
)
from vai.informer.places import Places
from vai.informer.plan import Target, plan, unmatched
from vai.informer.serving import Serving
from vai.kube import Source, Transport
from vai.kube.discovery import identify
from vai.reflector import Bookmarks, Hooks, Io, Link, Reflector, RefusedError
from vai.reflector.backoff import Backoff
from vai.reflector.counts import Counts
from vai.reflector.goals import Prober
from vai.reflector.selfcheck import SelfCheck, Tally
from vai.store import Catalogue, Store, boottime_s, compare_resource_versions
from vai.types import UNKNOWN_SCOPES, Cluster, FieldAsk, Redaction, Resource, Scope, State

_log: Final = logging.getLogger("vai")

#: A whole stop takes less than two seconds; the rest is for the file.
_STOP_S: Final = 1.5
#: A resource that is not served yet may come with its CRD.
_UNKNOWN_AGAIN_S: Final = 30.0
#: New CRDs join "everything" by themselves within a minute: our choice. kube-apiserver answers
#: 304 where nothing changed, so that a round is three requests of a few hundred bytes.
_EVERYTHING_AGAIN_S: Final = 60.0
#: Where proofs are seldom, so is this: the same, in proofs.
_EVERYTHING_AGAIN_PROOFS: Final = 2.0
#: What kube-apiserver does not cache, by default (registry storage_factory, WatchCacheSizes).
_UNCACHED: Final = "events"
#: Where `vai status` finds why nothing could begin.
PROBLEM: Final = "sync/problem"


class Informer:
    """Keeps the scopes of a file current until it is stopped.

    Args:
        store: the file, opened as its writer.
        transport: to the server; `stop` closes it.
        scopes: what to keep.
        settings: times and sizes.
        fields: what to index besides, once it is known what the server serves.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        scopes: Sequence[Scope],
        settings: Settings,
        fields: Sequence[FieldAsk] = (),
    ) -> None:
        self._store = store
        self._transport = transport
        self._scopes = tuple(scopes)
        self._settings = settings
        self._link = Link()
        self._places = Places(settings.first_lists)
        self._prober = Prober(settings.goal_lasts_s, boottime_s)
        self._lock = threading.Lock()
        self._reflectors: dict[int, Reflector] = {}
        self._targets: dict[int, Target] = {}
        self._identified = threading.Lock()
        self._identified_at = float("-inf")
        self._fields = list(fields)
        self._problems: dict[str, VaiError] = {}
        self._warned: set[str] = set()
        self._fatal: VaiError | None = None
        self._planned = threading.Event()
        self._stopping = threading.Event()
        self._again = threading.Event()
        self._went_back_at: float | None = None
        self._serving = Serving(transport, store)
        self._checks = SelfCheck(store, settings)
        self._backoff = Backoff(
            settings.backoff_base_s, settings.offline_cap_s, clock=time.monotonic
        )
        self._thread = threading.Thread(target=self._run, name="vai-informer", daemon=True)

    # --- life

    def start(self) -> None:
        """Begin; returns at once."""
        self._transport.meter.begin(self._store.count)
        self._thread.start()

    def stop(self) -> bool:
        """End all threads and requests; takes less than two seconds.

        Returns:
            Whether all threads ended. One that did not (it waits for a TCP connection, a name or
            an exec plugin) is a daemon that does nothing more.
        """
        self._stopping.set()
        self._again.set()
        with self._lock:
            reflectors = list(self._reflectors.values())
        for reflector in reflectors:
            reflector.stop()
        self._checks.stop()
        self._prober.stop()
        self._transport.close()
        self._link.wake()
        deadline = time.monotonic() + _STOP_S
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        ended = [reflector.join(deadline - time.monotonic()) for reflector in reflectors]
        ended.append(self._checks.join(deadline - time.monotonic()))
        ended.append(self._prober.join(deadline - time.monotonic()))
        return all(ended) and not self._thread.is_alive()

    def rediscover(self) -> None:
        """Ask the server again what it serves; new resources that are wanted join."""
        self._again.set()

    # --- how it stands

    @property
    def fatal(self) -> VaiError | None:
        """Why nothing is synced and never will be: another cluster's file, or a broken one."""
        return self._fatal

    def problems(self) -> dict[str, VaiError]:
        """Why, per scope (as text) that has no reflector."""
        with self._lock:
            return dict(self._problems)

    def scope_ids(self) -> list[int]:
        """The scopes of the file that are being synced."""
        with self._lock:
            return list(self._reflectors)

    def counts(self) -> dict[int, Counts]:
        """What each reflector did, by the id of its scope."""
        with self._lock:
            return {scope: one.counts for scope, one in self._reflectors.items()}

    def tallies(self) -> dict[int, Tally]:
        """What the self-checks came to, by the id of the scope."""
        return self._checks.tallies()

    def wait_planned(self, timeout_s: float | None = None) -> bool:
        """Wait until it is known which scopes there are, or that none will ever be."""
        return self._planned.wait(timeout_s)

    # --- the background

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._again.clear()
            wait_s = self._try()
            if wait_s is None:
                return
            self._again.wait(wait_s)

    def _try(self) -> float | None:
        """One round of identity, discovery and planning; when to do it again, None for never."""
        try:
            self._begin()
        except ClosedError:
            return None
        except (DiskFullError, ReadOnlyError) as error:
            # As the reflectors do: there may be space in a moment, and nobody else tries again.
            self._not_now(error)
            return self._backoff.next_s()
        except FileError as error:
            self._give_up(error)
            return None
        except (OfflineError, ForbiddenError, RefusedError) as error:
            self._not_now(error)
            return self._backoff.next_s()
        # Nothing else will start the sync: whatever it is, it is told and tried again.
        except Exception as error:  # noqa: BLE001
            _log.exception("sync could not begin, trying again")
            self._not_now(VaiError(f"{type(error).__name__}: {error}"))
            return self._backoff.next_s()
        self._backoff.reset()
        limit_s = self._settings.live_within_s
        if self.problems():
            return max(_UNKNOWN_AGAIN_S, limit_s)
        return max(_EVERYTHING_AGAIN_S, limit_s * _EVERYTHING_AGAIN_PROOFS)

    def _begin(self) -> None:
        self._identify()
        catalogue = self._serving.catalogue()
        targets, unknown = plan(self._scopes, catalogue)
        self._serving.record(catalogue, [target.resource for target in targets])
        self._index()
        problems = self._serving.explained(unknown)
        with self._lock:
            self._problems = dict(problems)
        # Before anything is live: whoever waits for that reads what there will not be.
        self._note(UNKNOWN_SCOPES, _json({name: str(error) for name, error in problems.items()}))
        settled = self._settled()
        for rank, target in self._in_turn(targets):
            if target not in settled:
                self._sync(target, rank)
        self._planned.set()
        self._warn(catalogue)
        self._note(PROBLEM, b"")

    def _identify(self) -> None:
        """Bind the file to the cluster that answers; raises OtherClusterError if it has another."""
        identity = identify(self._transport, self._store.cluster())
        self._store.set_cluster(
            Cluster(
                uid=identity.uid,
                verified=identity.verified,
                server=self._transport.server,
                namespace=self._transport.access.namespace,
            )
        )
        self._identified_at = time.monotonic()

    def _in_turn(self, targets: Sequence[Target]) -> list[tuple[int, Target]]:
        """In which order they start, with their ranks among those who list.

        What goes on where it was does not list, and what gets no bookmarks takes the longest until
        it is proven: three seconds.
        """
        complete = {found.id for found in self._store.scopes() if found.complete}

        def waits(ranked: tuple[int, Target]) -> bool:
            target = ranked[1]
            return target.resource.name != _UNCACHED or self._ensure(target) not in complete

        return sorted(enumerate(targets), key=waits)

    def _index(self) -> None:
        """Index what was asked for, as far as its resources are served."""
        waiting = []
        for ask in self._fields:
            try:
                resource = self._store.resolve(ask.resource)
                self._store.index(resource, ask.path, ask.type, many=ask.many)
            except UnknownResourceError as error:
                waiting.append(ask)
                _log.info("%s: %s", ask.place or ask.path, error)
            except InvalidRequestError as error:
                # It can't be helped by trying again, and the rest is worth syncing.
                _log.warning("%s: not indexed: %s", ask.place or ask.path, error)
        self._fields = waiting

    def _sync(self, target: Target, rank: int) -> None:
        scope = self._ensure(target)
        with self._lock:
            running, before = self._reflectors.get(scope), self._targets.get(scope)
        if running is not None and before is not None and _same_requests(before, target):
            return
        if running is None:
            # One after the other, in their order: not all of a cluster's connections at once.
            self._stopping.wait(self._settings.stagger_s)
        else:
            # Served in another version, or to be watched at last: the same objects, other requests.
            running.stop()
            running.join(_STOP_S)
        with self._lock:
            if self._stopping.is_set():
                return
            reflector = self._reflector(scope, target, rank)
            self._reflectors[scope], self._targets[scope] = reflector, target
        reflector.start()

    def _settled(self) -> set[Target]:
        """What is being synced and needs nothing more, not even in the file.

        What is kept without its values is looked at again each time: those of an earlier scope
        may still have to be deleted, because a reader was in the way.
        """
        with self._lock:
            return {one for one in self._targets.values() if one.redaction is Redaction.NONE}

    def _ensure(self, target: Target) -> int:
        return self._store.ensure_scope(
            target.resource,
            target.namespace,
            target.label_selector,
            target.field_selector,
            target.redaction,
            drop=target.drop,
        )

    def _reflector(self, scope: int, target: Target, rank: int) -> Reflector:
        resource = target.resource
        source = Source(
            self._transport,
            resource,
            namespace=target.namespace,
            label_selector=target.label_selector,
            field_selector=target.field_selector,
            redaction=target.redaction,
            table=not self._serving.is_defined(resource),
            scope=scope,
        )
        io = Io(
            source=source,
            store=self._store,
            scope=scope,
            settings=self._settings,
            compare=compare_resource_versions,
            boottime_s=boottime_s,
            hooks=_Hooks(self, scope, resource),
            link=self._link,
            first_lists=self._places.of(rank),
            polls=target.polled,
            goals=self._prober.of(f"{resource.name}/{resource.version}"),
            bookmarks=self._bookmarks(resource),
        )
        reflector = Reflector(str(target), io)
        if target.polled:
            # It is listed again and again anyway, and could be watched before.
            self._checks.remove(scope)
        else:
            self._checks.add(scope, reflector.name, source, reflector.relist)
        return reflector

    def _bookmarks(self, resource: Resource) -> Bookmarks:
        if self._serving.is_aggregated(resource):
            return Bookmarks.UNKNOWN
        return Bookmarks.NONE if resource.name == _UNCACHED else Bookmarks.SENT

    # --- when it can't begin

    def _give_up(self, error: FileError) -> None:
        with self._lock:
            if self._fatal is not None:
                return
            self._fatal = error
            self._problems = {str(scope): error for scope in self._scopes}
            reflectors = dict(self._reflectors)
        _log.error("sync ended: %s", error)
        self._stopping.set()
        self._again.set()
        for reflector in reflectors.values():
            reflector.stop()
        self._checks.stop()
        self._prober.stop()
        try:
            # Those of a file that was opened a moment ago have no reflectors yet.
            for scope in self._store.scopes():
                self._store.set_state(scope.id, State.STALE, str(error))
        except FileError as second:
            _log.debug("state not recorded: %s", second)
        self._planned.set()

    def _not_now(self, error: VaiError | RefusedError) -> None:
        """Say why in the file: per scope if its resources are known, else for the whole."""
        known = error if isinstance(error, VaiError) else VaiError(str(error))
        if self.scope_ids():
            # They say themselves how they stand.
            return
        state = _state_of(error)
        try:
            catalogue = self._store.resources()
            targets, _ = plan(self._scopes, catalogue) if len(catalogue) else ([], {})
            for target in targets:
                self._store.set_state(self._ensure(target), state, str(error))
            self._note(PROBLEM, str(error).encode())
        except FileError as second:
            _log.debug("state not recorded: %s", second)
        with self._lock:
            self._problems = {str(scope): known for scope in self._scopes}

    def _note(self, name: str, body: bytes) -> None:
        # Told with every discovery: what stands is not written again, nor that there is nothing.
        if (self._store.document(name) or b"") != body:
            self._store.put_document(name, body)

    def _warn(self, catalogue: Catalogue) -> None:
        """Of what is excluded and is not there: else a wrong word would go unnoticed."""
        for word in {word for scope in self._scopes for word in unmatched(scope, catalogue)}:
            if word not in self._warned:
                self._warned.add(word)
                _log.warning("exclude %s: no resource of the cluster is called so", word)

    # --- what reflectors ask

    def is_served(self, resource: Resource) -> bool | None:
        """Whether the server still serves it; None if that can't be known right now."""
        return self._serving.is_served(resource, self.rediscover)

    def reconnected(self, lost_at: float) -> None:
        """After an outage another cluster may be at the same address; asked once for all scopes."""
        with self._identified:
            if self._identified_at > lost_at:
                return
            try:
                self._identify()
            except OtherClusterError as error:
                self._give_up(error)
                raise

    def went_back(self, scope: int, resource: Resource, reason: str) -> None:
        """The server was restored: all resourceVersions of that time count no longer."""
        self.reconnected(time.monotonic())
        alone, now = self._serving.is_aggregated(resource), time.monotonic()
        with self._lock:
            at, limit_s = self._went_back_at, self._settings.live_within_s
            # An aggregated API has resourceVersions of its own. And of those that notice the same
            # restore together, only the first one speaks for all.
            alone = alone or (at is not None and now - at < limit_s)
            if not alone:
                self._went_back_at = now
            others = [] if alone else [r for r in self._reflectors.values() if r.scope != scope]
        self._store.void_checkpoint(scope if alone else None, reason)
        for reflector in others:
            reflector.relist(reason, restored=True)


def _json(reasons: Mapping[str, str]) -> bytes:
    return msgspec.json.encode(reasons) if reasons else b""


def _same_requests(one: Target, other: Target) -> bool:
    """Whether a running reflector asks for just that."""

    def bare(target: Target) -> tuple[object, ...]:
        resource = target.resource
        return (resource.name, resource.version, resource.namespaced, target.polled, str(target))

    return bare(one) == bare(other)


def _state_of(error: VaiError | RefusedError) -> State:
    match error:
        case ForbiddenError():
            return State.FORBIDDEN
        case FileError():
            return State.STALE
        case _:
            return State.OFFLINE


class _Hooks(Hooks):
    """Of one reflector."""

    def __init__(self, informer: Informer, scope: int, resource: Resource) -> None:
        self._informer = informer
        self._scope = scope
        self._resource = resource

    def is_served(self) -> bool | None:
        return self._informer.is_served(self._resource)

    def reconnected(self, lost_at: float) -> None:
        self._informer.reconnected(lost_at)

    def went_back(self, reason: str) -> None:
        self._informer.went_back(self._scope, self._resource, reason)
