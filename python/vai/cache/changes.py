"""The history as an iterator: for threads and for coroutines over one cursor."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from vai import store
from vai.cache.reads import Reads
from vai.cache.views import Change, change_of
from vai.cache.waits import SLICE_S
from vai.errors import ClosedError, NotSyncedError, UnknownResourceError
from vai.types import Position, Resource, ScopeStatus, State

#: Entries fetched at once: at 5 KB an object some 2.5 MB, old and new.
_BATCH: Final = 256
#: A coroutine's loop should not be held up for more than about a millisecond.
_ASYNC_BATCH: Final = 32
#: How long a coroutine waits at most before it looks again; the waker ticks more often.
_LONG_S: Final = 5.0


class History:
    """A cursor that opens as soon as there is a history to read from."""

    def __init__(self, reads: Reads, words: Sequence[str], since: Position | None) -> None:
        self.reads = reads
        self.closed = False
        self._words = tuple(words)
        self._since = since
        self._cursor: store.Changes | None = None
        self._open()

    def fetch(self, limit: int, timeout_s: float) -> list[Change] | None:
        """The next entries; empty if there are none in time, None if the end was reached."""
        if self.closed or self.reads.engine.closed:
            return None
        self.reads.store.check()
        self.reads.refuse_never()
        try:
            if self._cursor is None:
                return self._open_later(timeout_s)
            return [change_of(row) for row in self._cursor.next_batch(limit, timeout_s)]
        except ClosedError:
            return None

    def _open_later(self, timeout_s: float) -> list[Change]:
        if not self._open() and timeout_s > 0:
            self.reads.store.wait_status(self.reads.store.wait_status(0, 0.0), timeout_s)
        return []

    def _open(self) -> bool:
        resources = self._listed()
        if resources is None:
            return False
        after = self.reads.store.position() if self._since is None else self._since
        self._cursor = self.reads.store.changes(resources, after)
        return True

    def _listed(self) -> list[Resource] | None:
        """The resources, once each has been listed; None before."""
        try:
            found = [self.reads.resolve(word) for word in self._words]
            scopes = [self.reads.answering(resource, None) for resource in found]
        except NotSyncedError:
            return None
        except UnknownResourceError:
            if self.reads.may_come(None):
                return None
            raise
        if self._since is not None or all(any(map(_has_listed, each)) for each in scopes):
            return found
        return None

    def close(self) -> None:
        """The end, from any thread."""
        self.closed = True


class Changes(Iterator[Change]):
    """Changes in order; `next` waits for the next one, and the loop ends at `close()`.

    Ctrl-C ends a wait within 0.2 s. One consumer at a time; `close` may be called by any thread.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._ready: deque[Change] = deque()

    def __next__(self) -> Change:
        while not self._ready:
            batch = self._history.fetch(_BATCH, SLICE_S)
            if batch is None:
                raise StopIteration
            self._ready.extend(batch)
        if self._history.closed:
            raise StopIteration
        return self._ready.popleft()

    def close(self) -> None:
        """End the loop; the cache stays open."""
        self._history.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncChanges(AsyncIterator[Change]):
    """Changes in order, for one coroutine; the loop ends at `close()`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._ready: deque[Change] = deque()

    async def __anext__(self) -> Change:
        if not self._ready:
            await self._more()
        if self._history.closed or not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def _more(self) -> None:
        with self._history.reads.engine.waker.waiter() as waiter:
            while not self._ready:
                waiter.clear()
                batch = self._history.fetch(_ASYNC_BATCH, 0.0)
                if batch is None:
                    return
                self._ready.extend(batch)
                if not batch:
                    await waiter.wait(_LONG_S)

    def close(self) -> None:
        """End the loop; the cache stays open."""
        self._history.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _has_listed(status: ScopeStatus) -> bool:
    """Whether the scope's history has begun."""
    return status.complete or status.state is State.GONE
