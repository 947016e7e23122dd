"""The history as an iterator: for threads and for coroutines over one cursor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Final, Literal, Self

from vai import store
from vai.cache.query import Namespaces, namespaces_of
from vai.cache.reads import Reads
from vai.cache.views import Change, change_of
from vai.cache.waits import SLICE_S, Deadline
from vai.errors import (
    ClosedError,
    ExpiredError,
    ForkedError,
    InvalidRequestError,
    NotSyncedError,
    UnknownResourceError,
)
from vai.types import Position, Resource, ScopeStatus, State

#: Where to begin: after a position, some time ago, or as far back as the history goes.
Since = Position | timedelta | Literal["beginning"] | None

#: Entries fetched at once: at 5 KB an object some 2.5 MB, old and new.
_BATCH: Final = 256
#: A coroutine's loop should not be held up for more than about a millisecond.
_ASYNC_BATCH: Final = 32
#: How long a coroutine waits at most before it looks again; the waker ticks more often.
_LONG_S: Final = 5.0


class Follow:
    """What to follow: the arguments of `Cache.changes`, checked."""

    def __init__(
        self,
        resources: str | Sequence[str],
        since: Since = None,
        consumer: str | None = None,
        *,
        namespace: Namespaces = None,
        label_selector: str = "",
        field_selector: str = "",
        where: str = "",
    ) -> None:
        self.words = (resources,) if isinstance(resources, str) else tuple(resources)
        self.since = since
        self.consumer = consumer
        self.namespace = namespace
        self.label_selector = label_selector
        self.field_selector = field_selector
        self.where = where
        if not self.words:
            raise InvalidRequestError("changes of which resources? name at least one")
        if not (since is None or since == "beginning" or isinstance(since, (Position, timedelta))):
            raise InvalidRequestError(
                f"since={since!r}: a Position, a timedelta (so long ago), or 'beginning'"
            )


class History:
    """A cursor that opens as soon as there is a history to read from.

    With a named consumer it goes on where that one stopped, and `handled` moves its position.
    """

    def __init__(self, reads: Reads, follow: Follow) -> None:
        self.reads = reads
        self.closed = False
        self._follow = follow
        # As of the call, however long the first list takes.
        self._asked_at = time.time()
        self._cursor: store.Changes | None = None
        self._consumer: store.Consumer | None = None
        #: Given out by `fetch`, and not yet handled.
        self._out = 0
        if follow.consumer is not None:
            self._consumer = reads.store.consumer(follow.consumer)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be given out, although it may have been fetched."""
        return self.closed or self.reads.engine.closed

    def fetch(self, limit: int, timeout_s: float) -> list[Change] | None:
        """The next entries; empty if there are none in time, None if the end was reached."""
        if self.ended:
            self.close()
            return None
        self.reads.store.check()
        self.reads.refuse_never()
        try:
            if self._cursor is None:
                return self._open_later(timeout_s)
            found = [change_of(row) for row in self._cursor.next_batch(limit, timeout_s)]
            if self._consumer is not None and not self._out and not found:
                self._consumer.idle(self._cursor.epoch, self._cursor.seq)
        except ClosedError:
            self.close()
            return None
        except ExpiredError as error:
            self.close()
            raise self._expired(error) from None
        self._out += len(found)
        return found

    def handled(self, change: Change) -> None:
        """The loop asked for what follows: this one will not come again."""
        self._out -= 1
        if self._consumer is not None:
            self.reads.store.check()
            # Released by `close` in the meantime: it was told to stop, and this one comes again.
            with contextlib.suppress(ClosedError):
                self._consumer.ack(change.epoch, change.seq)

    def _open_later(self, timeout_s: float) -> list[Change]:
        if not self._open() and timeout_s > 0:
            self.reads.store.wait_status(self.reads.store.wait_status(0, 0.0), timeout_s)
        return []

    def _open(self) -> bool:
        try:
            known = None if self._consumer is None else self._consumer.position
            resources = self._listed(anyway=known is not None)
            if resources is None:
                return False
            after = self._begin(resources) if known is None else Position(*known)
            self._cursor = self.reads.store.changes(
                resources,
                after,
                namespaces=self._namespaces(resources),
                label_selector=self._follow.label_selector,
                field_selector=self._follow.field_selector,
                where=self._follow.where,
            )
        except ExpiredError as error:
            raise self._expired(error) from None
        if self._consumer is not None:
            self._consumer.follow([found.name for found in resources], after.epoch, after.seq)
        return True

    def _begin(self, resources: Sequence[Resource]) -> Position:
        match self._follow.since:
            case None:
                return self.reads.store.position()
            case Position() as position:
                return position
            case timedelta() as ago:
                return self.reads.store.position_at(self._asked_at - ago.total_seconds())
            case _:
                return self.reads.store.oldest(resources)

    def _namespaces(self, resources: Sequence[Resource]) -> Sequence[str] | None:
        found: Sequence[str] | None = None
        for resource in resources:
            # The same for all, but refused for one that has no namespaces.
            found = namespaces_of(resource, self._follow.namespace)
        return found

    @property
    def more(self) -> bool:
        """Whether there is more to read at once, although `fetch` came back empty."""
        return self._cursor is not None and not self._cursor.at_end

    def _expired(self, error: ExpiredError) -> ExpiredError:
        if self._follow.consumer is None:
            return error
        name = self._follow.consumer
        return ExpiredError(
            f"consumer {name!r} can't go on without a gap: {error}. Take a snapshot and compare, "
            f"then forget_consumer({name!r}) and follow again with since=snapshot.position",
            **error.details,
        )

    def _listed(self, *, anyway: bool) -> list[Resource] | None:
        """The resources, once each has been listed (or merely is kept); None before."""
        try:
            found = [self.reads.resolve(word) for word in self._follow.words]
            scopes = [self.reads.answering(resource, None) for resource in found]
        except NotSyncedError:
            return None
        except UnknownResourceError:
            if self.reads.may_come(None):
                return None
            raise
        if anyway or self._follow.since is not None:
            return found
        return found if all(any(map(_has_listed, each)) for each in scopes) else None

    def close(self) -> None:
        """The end, from any thread; another loop may be the consumer then."""
        self.closed = True
        # In a forked child it is the parent's, which goes on.
        with contextlib.suppress(ForkedError):
            self.reads.store.check()
            if self._consumer is not None:
                self._consumer.release()


class Changes(Iterator[Change]):
    """Changes in order; `next` waits for the next one, and the loop ends at `close()`.

    Ctrl-C ends a wait within 0.2 s. One consumer at a time; `close` may be called by any thread.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._ready: deque[Change] = deque()
        self._given: Change | None = None

    def __next__(self) -> Change:
        while True:
            change = self.poll(SLICE_S)
            if change is not None:
                return change
            if self._history.ended:
                raise StopIteration

    def poll(self, timeout: float | timedelta = 0.0) -> Change | None:
        """The next change, as `next` gives it; None if there is none in time, or at the end.

        Args:
            timeout: how long to wait for one; with 0 None means that all there is was given out.
        """
        if self._given is not None:
            given, self._given = self._given, None
            self._history.handled(given)
        deadline = Deadline(timeout)
        while not self._ready:
            batch = self._history.fetch(_BATCH, deadline.slice_s())
            if batch is None:
                return None
            self._ready.extend(batch)
            if not batch and not self._history.more and deadline.passed():
                return None
        if self._history.ended:
            return None
        self._given = self._ready.popleft()
        return self._given

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
        self._given: Change | None = None

    async def __anext__(self) -> Change:
        if self._given is not None:
            given, self._given = self._given, None
            self._history.handled(given)
        if not self._ready:
            await self._more()
        if self._history.ended or not self._ready:
            raise StopAsyncIteration
        self._given = self._ready.popleft()
        return self._given

    async def _more(self) -> None:
        with self._history.reads.engine.waker.waiter() as waiter:
            while not self._ready:
                waiter.clear()
                batch = self._history.fetch(_ASYNC_BATCH, 0.0)
                if batch is None:
                    return
                self._ready.extend(batch)
                if not batch:
                    # What does not pass the filter is read in pieces, between which others run.
                    more = self._history.more
                    await (asyncio.sleep(0) if more else waiter.wait(_LONG_S))

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
