from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time

import pytest

import vai
from tests.timing import one_in_three
from tests.unit.cache.feed import Feed, pod


def wakers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "vai-waker"]


def test_waits_of_many_coroutines_share_one_thread(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()

    async def main() -> list[vai.Object]:
        waits = [
            asyncio.ensure_future(cache.aio.wait_for("pods", f"shop/web-{n}", timeout=10))
            for n in range(50)
        ]
        before = threading.active_count()
        async with asyncio.timeout(30):
            while not wakers():  # noqa: ASYNC110 - a thread sets no event of this loop
                await asyncio.sleep(0.02)
        # Whoever would come for another wait has time to.
        await asyncio.sleep(0.3)
        assert threading.active_count() == before + 1
        assert len(wakers()) == 1
        for n in range(50):
            feed.event(scope, "ADDED", pod(f"web-{n}", 101 + n))
        return await asyncio.gather(*waits)

    assert [found.name for found in asyncio.run(main())] == [f"web-{n}" for n in range(50)]


def test_a_commit_wakes_a_coroutine_soon(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()

    async def main(number: int) -> float:
        name, version = f"web-{number}", 101 + number
        wait = asyncio.ensure_future(cache.aio.wait_for("pods", f"shop/{name}", timeout=30))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        await asyncio.to_thread(feed.event, scope, "ADDED", pod(name, version))
        await wait
        return time.monotonic() - started

    numbers = itertools.count()
    one_in_three(lambda: asyncio.run(main(next(numbers))), 1)


def test_async_changes_are_those_of_the_history(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])

    def happening() -> None:
        feed.event(scope, "MODIFIED", pod("web-0", 101))
        time.sleep(0.2)
        feed.event(scope, "DELETED", pod("web-0", 102))

    async def main() -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []
        async with cache.aio.changes("pods") as changes:
            feed.later(0.2, happening)
            async for found in changes:
                seen.append((found.op, found.key))
                if len(seen) == 2:
                    break
        return seen

    assert asyncio.run(main()) == [("update", "shop/web-0"), ("delete", "shop/web-0")]


def test_async_changes_end_when_the_cache_is_closed(feed: Feed) -> None:
    feed.load()

    async def main() -> int:
        async with vai.open(feed.path) as cache:
            asyncio.get_running_loop().call_later(0.2, cache.close)
            return len([found async for found in cache.aio.changes("pods")])

    assert asyncio.run(main()) == 0
    assert wakers() == []


def test_waits_end_late_or_when_the_cache_is_closed(feed: Feed, cache: vai.Cache) -> None:
    feed.load()

    async def main() -> None:
        with pytest.raises(vai.VaiTimeoutError, match="does not exist"):
            await cache.aio.wait_for("pods", "shop/web-0", timeout=0.1)
        wait = asyncio.ensure_future(cache.aio.wait_for("pods", "shop/web-0"))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(cache.close)
        async with asyncio.timeout(30):
            with pytest.raises(vai.ClosedError):
                await wait

    asyncio.run(main())


def test_a_wait_can_be_cancelled(feed: Feed, cache: vai.Cache) -> None:
    feed.load()

    async def main() -> None:
        wait = asyncio.ensure_future(cache.aio.wait_for("pods", "shop/web-0"))
        await asyncio.sleep(0.1)
        wait.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await wait
        assert wait.cancelled()

    asyncio.run(main())


def test_wait_synced_has_a_twin(feed: Feed) -> None:
    feed.scope()

    async def main() -> None:
        async with vai.open(feed.path) as cache:
            with pytest.raises(vai.SyncTimeoutError):
                await cache.aio.wait_synced(timeout=0.05)
            feed.later(0.2, feed.load)
            await cache.aio.wait_synced(timeout=10)

    asyncio.run(main())


def test_list_has_a_twin_that_leaves_the_loop_alone(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])

    async def main() -> vai.Page:
        return await cache.aio.list("pods", limit=10, max_age=60)

    assert [found.name for found in asyncio.run(main()).items] == ["web-0"]


def test_two_loops_in_two_threads_share_a_cache(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()
    found: list[vai.Object] = []

    def run() -> None:
        found.append(asyncio.run(cache.aio.wait_for("pods", "shop/web-0", timeout=10)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    feed.event(scope, "ADDED", pod("web-0", 101))
    for thread in threads:
        thread.join(30)
    assert len(found) == 2
    assert len(wakers()) == 1
