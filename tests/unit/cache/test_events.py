"""Events for coroutines: what handlers are told, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import vai
from tests.unit.cache.feed import Feed, cache_of, pod
from tests.unit.cache.told import Told, versions


async def hear(told: Told, events: vai.AsyncEvents, count: int) -> None:
    while len(told.calls) < count:
        told.believe(await asyncio.wait_for(anext(events), 30))
    assert not told.wrong


def test_events_are_what_handlers_are_told(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    called = Told()
    cache.add_handler("pods", **called.callbacks)
    told = Told()

    async def main() -> None:
        async with cache.aio.events("pods") as events:
            await hear(told, events, 1)
            await asyncio.to_thread(feed.event, scope, "ADDED", pod("web-1", 101))
            await asyncio.to_thread(feed.event, scope, "MODIFIED", pod("web-1", 102))
            await asyncio.to_thread(feed.event, scope, "DELETED", pod("web-0", 103))
            await hear(told, events, 4)
        assert [event async for event in events] == []

    asyncio.run(main())
    assert told.calls == called.wait(4)
    assert told.initial == ["shop/web-0"]
    assert len(cache.handlers) == 1


def test_events_begin_with_the_first_list_and_resync(feed: Feed) -> None:
    told = Told()

    async def main(cache: vai.Cache) -> None:
        events = cache.aio.events("pods", where="metadata.name = web-0", resync=0.05)
        loading = asyncio.to_thread(feed.load, [pod("web-0", 7), pod("web-1", 8)])
        await asyncio.gather(hear(told, events, 3), loading)
        events.close()

    feed.scope()
    with cache_of(feed.path, ["pods"], "reader")[0] as cache:
        asyncio.run(main(cache))
    assert told.initial == ["shop/web-0"]
    assert [call[0] for call in told.calls] == ["add", "update", "update"]


def test_a_coroutine_parks_no_thread_and_ends_with_the_cache(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])

    async def main() -> list[str]:
        cache = vai.open(feed.path)
        events = cache.aio.events("pods")
        first = await anext(events)
        names = {thread.name for thread in threading.enumerate()}
        assert not names & {"vai-handlers", "vai-handler"}
        asyncio.get_running_loop().call_later(0.1, cache.close)
        return [first.key] + [event.key async for event in events]

    assert asyncio.run(main()) == ["shop/web-0"]


def test_a_slow_coroutine_and_handlers_share_a_feed(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    called, told = Told(), Told()
    cache.add_handler("pods", **called.callbacks).wait_synced(30)
    events = cache.aio.events("pods")

    async def main() -> None:
        await hear(told, events, 1)
        cache.handlers[0].delivery.feed.limit_bytes = 1
        for index in range(50):
            await asyncio.to_thread(feed.event, scope, "MODIFIED", pod("web-0", 101 + index))
        await hear(told, events, 51)

    asyncio.run(main())
    called.wait_equal(versions(cache))
    assert told.calls == called.calls


def test_arguments_are_checked(feed: Feed, cache: vai.Cache, tmp_path: Path) -> None:
    feed.load()
    with pytest.raises(vai.InvalidRequestError, match="resync"):
        cache.aio.events("pods", resync=-1)
    with pytest.raises(vai.NotKeptError):
        cache.aio.events("nodes")
    assert tmp_path.exists()
