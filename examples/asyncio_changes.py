"""The same object under asyncio: only what waits has a twin."""

import asyncio

import vai


async def main() -> None:
    async with vai.connect("shop.db", scopes=[vai.Scope("pods", namespace="shop")]) as cache:
        await cache.aio.wait_synced(timeout=30)
        await cache.aio.wait_for("pods", "web-0", namespace="shop", timeout=30)
        pods = cache.snapshot("pods")
        async for change in cache.aio.changes("pods", since=pods.position):
            print(change.op, change.key)
            break


asyncio.run(main())
