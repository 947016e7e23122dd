"""The asynchronous twins of what waits; everything else of a cache may be called from a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Unpack, overload

from vai.cache import answers
from vai.cache.changes import AsyncChanges, Follow, History, Since
from vai.cache.conditions import Synced, Until, exists
from vai.cache.feeds import Asked
from vai.cache.handlers import Handlers
from vai.cache.query import Namespaces
from vai.cache.question import AskedList, list_question
from vai.cache.reads import Reads
from vai.cache.stream import AsyncEvents
from vai.cache.views import Page
from vai.cache.waits import Deadline
from vai.objects import Object
from vai.types import seconds


class AsyncCache:
    """`cache.aio`: the same object for coroutines; only what waits is here.

    `get`, `snapshot` and `list` of the cache take microseconds to milliseconds and may be called
    from a loop directly. Nothing here parks a thread: one waker thread per cache serves all loops.
    """

    def __init__(self, reads: Reads, handlers: Handlers) -> None:
        """Use `Cache.aio`."""
        self._reads = reads
        self._handlers = handlers

    async def wait_synced(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
    ) -> None:
        """See `Cache.wait_synced`."""
        await Synced(self._reads).wait(Deadline(timeout))

    @overload
    async def wait_for(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
        min_resource_version: str | None = None,
    ) -> Object: ...
    @overload
    async def wait_for(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        until: Callable[[Object | None], object],
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
        min_resource_version: str | None = None,
    ) -> Object | None: ...
    async def wait_for(
        self,
        resource: str,
        name: str,
        *,
        namespace: str | None = None,
        until: Callable[[Object | None], object] = exists,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
        min_resource_version: str | None = None,
    ) -> Object | None:
        """See `Cache.wait_for`; `until` is a plain function, called on the loop."""
        key = (name, namespace)
        condition = Until(self._reads, resource, key, until, min_resource_version)
        return await condition.wait(Deadline(timeout))

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
    ) -> AsyncChanges:
        """See `Cache.changes`; an asynchronous iterator of `Change`."""
        follow = Follow(
            resources,
            since,
            consumer,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            where=where,
        )
        return AsyncChanges(History(self._reads, follow))

    def events(
        self,
        resource: str,
        *,
        namespace: Namespaces = None,
        label_selector: str = "",
        field_selector: str = "",
        where: str = "",
        resync: float | timedelta | None = None,
    ) -> AsyncEvents:
        """What a handler is called with (`Cache.add_handler`): asynchronous iterator of `Event`.

        Begins with everything there is, as `changes` does not, and goes on after any gap with the
        difference, where `changes` raises ExpiredError.
        """
        asked = Asked.of(resource, namespace, label_selector, field_selector, where)
        return AsyncEvents(self._handlers, self._handlers.follow(asked, seconds(resync)))

    async def list(
        self,
        resource: str | Sequence[str],
        namespace: Namespaces = None,
        **asked: Unpack[AskedList],
    ) -> Page:
        """See `Cache.list`, whose arguments it takes.

        Waits for a fresher answer on the loop, and reads in a worker thread, for pages too large
        to hold up a loop.
        """
        wanted = list_question(self._reads.resources(resource), namespace, asked)
        return answers.page(await answers.answer_later(self._reads, wanted), wanted)
