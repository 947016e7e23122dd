"""Events for coroutines: what handlers are told, as an asynchronous iterator."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

from vai.cache.deliveries import Delivery
from vai.cache.events import Event
from vai.cache.handlers import Handlers
from vai.errors import ClosedError

#: A coroutine's loop should not be held up for more than about a millisecond.
_SLICE: Final = 32
#: How long a coroutine waits at most before it looks again; the waker ticks more often.
_LONG_S: Final = 5.0


class AsyncEvents(AsyncIterator[Event]):
    """Events in order, for one coroutine; the loop ends at `close()` and with the cache."""

    def __init__(self, handlers: Handlers, delivery: Delivery) -> None:
        """Use `Cache.aio.events`."""
        self._handlers = handlers
        self._delivery = delivery
        self._ready: deque[Event] = deque()
        self._closed = False

    async def __anext__(self) -> Event:
        if not self._ready:
            await self._more()
        if self._ended or not self._ready:
            self.close()
            raise StopAsyncIteration
        return self._ready.popleft()

    @property
    def _ended(self) -> bool:
        return self._closed or self._handlers.ended

    async def _more(self) -> None:
        with self._handlers.reads.engine.waker.waiter() as waiter:
            while not self._ended:
                waiter.clear()
                self._handlers.reads.refuse_never()
                try:
                    self._delivery.feed.advance()
                    self._ready.extend(self._delivery.take(_SLICE))
                except ClosedError:
                    return
                if self._ready:
                    return
                due_s = self._delivery.due_s
                await waiter.wait(_LONG_S if due_s is None else max(0.0, min(_LONG_S, due_s)))

    def close(self) -> None:
        """End the loop; the cache stays open."""
        self._closed = True
        self._handlers.forget(self._delivery)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
