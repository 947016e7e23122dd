"""WATCH: where it starts, which events it sends, when it sends bookmarks, when it ends.

Sources: apiserver ``pkg/storage/cacher/{cacher,cache_watcher,watch_cache}.go`` and
``pkg/endpoints/handlers/watch.go``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vai.testing.encode import Encoder, error_event
from vai.testing.faults import Taken
from vai.testing.listing import wait_fresh
from vai.testing.objects import Stored
from vai.testing.requests import ListOptions
from vai.testing.spoil import Spoiler
from vai.testing.status import ApiError, expired
from vai.testing.store import Change, Snapshot, Store, Table

# cacher.go defaultBookmarkFrequency; cache_watcher.go nextBookmarkTime: 2 s before the deadline.
BOOKMARK_EVERY_S = 60.0
_BEFORE_DEADLINE_S = 2.0
# kube-apiserver --min-request-timeout: a watch without a timeout lasts 30 to 60 minutes.
MIN_REQUEST_TIMEOUT_S = 1800.0
# How often an idle watch looks whether its client is still there.
_LOOK_S = 1.0
_EVENTS_PER_CHUNK = 64

Send = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a watch begins.

    Attributes:
        position: The sequence number of the first change to send.
        after: The resourceVersion that changes must exceed.
        bookmarks_after: The resourceVersion that bookmarks must exceed.
        initial: The state to send first, if it was asked for.
    """

    generation: int
    position: int
    after: int
    bookmarks_after: int
    initial: Snapshot | None = None


@dataclass(slots=True)
class Watch:
    """One running watch.

    ``send`` writes one chunk; ``gone`` tells that nobody listens; ``stop`` does what a fault does
    to the stream: None when that goes on, else what ``run`` returns.
    """

    store: Store
    table: Table
    options: ListOptions
    namespace: str
    encoder: Encoder
    send: Send
    gone: Callable[[], bool]
    spoiler: Spoiler
    stop: Callable[[Taken], bool | None]
    bookmark_every_s: float = BOOKMARK_EVERY_S
    wait_s: float = 3.0
    _columns_sent: bool = False
    _started: float = 0.0
    _start: _Start | None = None
    _error: ApiError | None = None

    def register(self) -> None:
        """Take the place in the history where the watch begins."""
        self._started = time.monotonic()
        try:
            self._start = self._find_start()
        except ApiError as error:
            # Past authentication and options, a watch's errors are events of a 200.
            self._error = error

    def run(self) -> bool:
        """Send events until the deadline, the client's end, or an error.

        Returns:
            False when the stream was cut off in the middle of an event.
        """
        if self._start is None:
            if self._error is None:
                raise RuntimeError("register() comes first")
            self.send(error_event(self._error))
            return True
        timeout = self.options.timeout_s or MIN_REQUEST_TIMEOUT_S * (1 + random.random())
        ended = self._send_initial(self._start)
        if ended is not None:
            return ended
        return self._follow(self._start, deadline=self._started + timeout)

    # Start ------------------------------------------------------------------------------------

    def _find_start(self) -> _Start:
        options, table = self.options, self.table
        if options.send_initial:
            wait_fresh(self.store, options.rv, self.wait_s)
        with self.store.lock:
            if options.send_initial:
                # "0" is content with what the cache has; unset wants the newest.
                if options.resource_version != "0":
                    self.store.consistent(table)
                now = table.now(table.cache_rv)
                return _Start(table.generation, table.end, now.rv, now.rv, now)
            rv = options.rv or table.cache_rv
            if rv < table.floor:
                raise expired(f"too old resource version: {rv} ({table.floor})")
            # cacheWatcher.processInterval: the buffered events count as the watch's start.
            newest = max(rv, table.newest_rv)
            return _Start(table.generation, table.position_after(rv), rv, newest)

    def _send_initial(self, start: _Start) -> bool | None:
        items = start.initial.items if start.initial is not None else ()
        ended = self._send_events(
            (self._event("ADDED", stored), stored.rv) for stored in items if self._passes(stored)
        )
        if ended is None and start.initial is not None and self.options.bookmarks:
            self._send([self._bookmark(start.initial.rv, initial_end=True)])
        return ended

    # Follow -----------------------------------------------------------------------------------

    def _follow(self, start: _Start, *, deadline: float) -> bool:
        bookmark_at = self._next_bookmark(deadline)
        table = self.table
        position = start.position
        while True:
            with self.store.lock:
                changes = table.since(position)
                if not changes and table.generation == start.generation:
                    until = min(deadline, bookmark_at or deadline)
                    wait = until - time.monotonic()
                    if wait > 0:
                        table.changed.wait(min(wait, _LOOK_S))
                    changes = table.since(position)
                ended = table.generation != start.generation or changes is None
                cache_rv = table.cache_rv
            if ended or changes is None or self.gone():
                return True
            position += len(changes)
            stopped = self._send_changes(changes, start.after)
            if stopped is not None:
                return stopped
            now = time.monotonic()
            if now >= deadline:
                return True
            if bookmark_at is not None and now >= bookmark_at:
                # cacheWatcher.process: only a bookmark past the watch's start is sent.
                if cache_rv > start.bookmarks_after:
                    self._send([self._bookmark(cache_rv)])
                bookmark_at = self._next_bookmark(deadline)

    def _next_bookmark(self, deadline: float) -> float | None:
        if not self.options.bookmarks:
            return None
        now = time.monotonic()
        at = min(now + self.bookmark_every_s, deadline - _BEFORE_DEADLINE_S)
        return at if at > now else None

    def _send_changes(self, changes: list[Change], after: int) -> bool | None:
        found = ((self._frame(change), change.rv) for change in changes if change.rv > after)
        return self._send_events((frame, rv) for frame, rv in found if frame is not None)

    def _send_events(self, events: Iterable[tuple[bytes, int]]) -> bool | None:
        """Send events, a chunk of many at once; whether the stream ended with that, and how."""
        frames: list[bytes] = []
        for frame, rv in events:
            spoilt = self.spoiler.event(frame, rv)
            frames += spoilt.frames
            if spoilt.stop is not None:
                self._send(frames)
                frames = []
                ended = self.stop(spoilt.stop)
                if ended is not None:
                    return ended
                if not spoilt.frames:
                    frames += self.spoiler.event(frame, rv).frames
            elif len(frames) >= _EVENTS_PER_CHUNK:
                self._send(frames)
                frames = []
        self._send(frames)
        due = self.spoiler.due()
        return None if due is None else self.stop(due)

    def _send(self, frames: list[bytes]) -> None:
        if frames:
            self.send(b"".join(frames))

    # Events -----------------------------------------------------------------------------------

    def _passes(self, stored: Stored) -> bool:
        if self.namespace and stored.namespace != self.namespace:
            return False
        options = self.options
        return options.labels.matches(stored.labels) and options.fields.matches(stored.fields)

    def _frame(self, change: Change) -> bytes | None:
        """The event of a change as this watch sees it; None when it sees none."""
        before = change.before is not None and self._passes(change.before)
        after = change.after is not None and self._passes(change.after)
        if not before and not after:
            return None
        if after and change.after is not None:
            kind, stored = ("MODIFIED" if before else "ADDED"), change.after
        elif change.gone is not None:
            kind, stored = "DELETED", change.gone
        elif change.before is not None:
            # It left the selection: the old content under the change's resourceVersion.
            kind, stored = "DELETED", change.before.at(change.rv)
        else:  # before and after are both None only if neither passed
            return None
        cache_key = self.encoder.cache_key
        if cache_key is None:
            return self._event(kind, stored)
        key = (cache_key, kind)
        frame = change.frames.get(key)
        if frame is None:
            frame = change.frames[key] = self._event(kind, stored)
        return frame

    def _event(self, kind: str, stored: Stored) -> bytes:
        columns = not self._columns_sent
        self._columns_sent = True
        return self.encoder.event(kind, stored, columns=columns)

    def _bookmark(self, rv: int, *, initial_end: bool = False) -> bytes:
        columns = not self._columns_sent
        self._columns_sent = True
        return self.encoder.bookmark(rv, initial_end=initial_end, columns=columns)
