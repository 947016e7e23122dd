"""Handlers that are late: what memory holds for them, the history, and what is told beyond it."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import Feed, pod
from tests.unit.cache.told import Told, versions


def shrink_rings(cache: vai.Cache, limit_bytes: int = 1) -> None:
    """What is not taken at once falls out."""
    for registration in cache.handlers:
        registration.delivery.feed.limit_bytes = limit_bytes


def test_who_is_too_slow_for_memory_reads_the_history(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(60)

    slow, quick = Told(hold), Told()
    registration = cache.add_handler("pods", **slow.callbacks)
    cache.add_handler("pods", **quick.callbacks)
    assert held.wait(30)
    shrink_rings(cache)
    for index in range(300):
        name = f"web-{index % 40}"
        kind = "MODIFIED" if versions(cache).get(f"shop/{name}") else "ADDED"
        if index % 7 == 6 and kind == "MODIFIED":
            kind = "DELETED"
        feed.event(scope, kind, pod(name, 101 + index))
    quick.wait_equal(versions(cache))
    assert registration.delivery.in_ring is False
    go.set()
    slow.wait_equal(versions(cache))
    assert slow.calls == quick.calls, "the history has each change, whoever is late"
    assert registration.relists == 0
    feed.event(scope, "ADDED", pod("last", 900))
    slow.wait_equal(versions(cache))
    assert registration.delivery.in_ring


def expire(feed: Feed, scope: int) -> None:
    """Prune everything that happened so far; web-0 changes meanwhile, for only that is pruned."""
    pods, floor, version = feed.store.resolve("pods"), feed.store.position().seq, 1000

    def pruned() -> bool:
        nonlocal version
        version += 1
        feed.event(scope, "MODIFIED", pod("web-0", version))
        return feed.store.oldest([pods]).seq >= floor

    wait_until(pruned)


def test_who_is_too_slow_for_the_history_is_told_the_difference(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "cluster.db", history_s=0.0)
    scope = feed.load([pod("web-0", 7), pod("web-1", 8), pod("web-2", 9)])
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        go.wait(60)

    with vai.open(feed.path) as cache:
        slow, quick = Told(hold), Told()
        registration = cache.add_handler("pods", **slow.callbacks)
        cache.add_handler("pods", **quick.callbacks)
        assert held.wait(30)
        shrink_rings(cache)
        feed.event(scope, "MODIFIED", pod("web-0", 101))
        feed.event(scope, "DELETED", pod("web-1", 102))
        feed.event(scope, "ADDED", pod("web-3", 103))
        feed.event(scope, "ADDED", pod("web-4", 104))
        feed.event(scope, "DELETED", pod("web-4", 105))
        again = pod("web-2", 106)
        again["metadata"]["uid"] = "uid-new"
        feed.event(scope, "DELETED", pod("web-2", 106))
        feed.event(scope, "ADDED", again)
        quick.wait_equal(versions(cache))
        expire(feed, scope)
        go.set()
        slow.wait_equal(versions(cache))
        assert registration.relists == 1
        assert slow.calls[3:] == [
            ("delete", "shop/web-1", "8"),
            ("update", "shop/web-0", versions(cache)["shop/web-0"]),
            ("delete", "shop/web-2", "9"),
            ("add", "shop/web-2", "106"),
            ("add", "shop/web-3", "103"),
        ]
        assert slow.olds == [None]
        assert [one.object for one in slow.tombstones] == [None, None]
        feed.event(scope, "MODIFIED", pod("web-0", 9000))
        slow.wait_equal(versions(cache))
        quick.wait_equal(versions(cache))
        assert slow.initial == ["shop/web-0", "shop/web-1", "shop/web-2"]
    feed.close()


def test_a_process_that_slept_too_long_tells_everybody_the_difference(tmp_path: Path) -> None:
    feed = Feed(tmp_path / "cluster.db", history_s=0.0)
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    with vai.open(feed.path) as cache:
        told = [Told(), Told()]
        for one in told:
            cache.add_handler("pods", **one.callbacks).wait_synced(30)
        followed = cache.handlers[0].delivery.feed
        with followed.lock:
            # Nothing is read while it is held.
            feed.event(scope, "MODIFIED", pod("web-0", 101))
            feed.event(scope, "DELETED", pod("web-1", 102))
            feed.event(scope, "ADDED", pod("web-2", 103))
            expire(feed, scope)
        for one in told:
            one.wait_equal(versions(cache))
            assert [what for what, _, _ in one.calls] == [
                *("add", "add"),
                *("delete", "update", "add"),
            ]
        feed.event(scope, "ADDED", pod("web-3", 104))
        for one in told:
            one.wait_equal(versions(cache))
    feed.close()


def test_who_came_while_the_feed_was_behind_is_told_what_the_feed_never_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(tmp_path / "cluster.db", history_s=0.0)
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    with vai.open(feed.path) as cache:
        quick, late = Told(), Told()
        cache.add_handler("pods", **quick.callbacks).wait_synced(30)
        followed = cache.handlers[0].delivery.feed
        with monkeypatch.context() as asleep:
            asleep.setattr(followed, "advance", lambda: False)
            feed.event(scope, "ADDED", pod("web-2", 101))
            feed.event(scope, "DELETED", pod("web-1", 102))
            registration = cache.add_handler("pods", **late.callbacks)
            registration.wait_synced(30)
            assert late.initial == ["shop/web-0", "shop/web-2"]
            # Of both, the feed will find what it knew.
            feed.event(scope, "DELETED", pod("web-2", 103))
            feed.event(scope, "ADDED", pod("web-1", 8))
            expire(feed, scope)
        feed.event(scope, "MODIFIED", pod("web-0", 9000))
        for one in (quick, late):
            one.wait_equal(versions(cache))
        assert registration.relists == 1
        assert late.calls[2:] == [
            ("delete", "shop/web-2", "101"),
            ("update", "shop/web-0", "9000"),
            ("add", "shop/web-1", "8"),
        ]
    feed.close()


@pytest.mark.parametrize("seed", range(4))
def test_nobody_ever_misses_or_repeats_anything(tmp_path: Path, seed: int) -> None:
    """Random histories, relists, naps, prunings and ring sizes; each handler folds to the file."""
    chosen = random.Random(seed)
    feed = Feed(tmp_path / "cluster.db", history_s=0.0 if seed % 2 else 900.0)
    version, there = 100, dict[str, dict[str, Any]]()
    scope = feed.load()
    with vai.open(feed.path) as cache:

        def nap() -> None:
            if chosen.random() < 0.05:
                time.sleep(chosen.random() * 0.05)

        every = list[Told]()
        for step in range(400):
            version += 1
            name = f"web-{chosen.randrange(20)}"
            if step % 40 == 0:
                every.append(Told(nap if len(every) % 2 else lambda: None))
                cache.add_handler("pods", **every[-1].callbacks)
                shrink_rings(cache, chosen.choice([1, 5_000, 1 << 20]))
            if step % 90 == 89:
                gone = [key for key in there if chosen.random() < 0.3]
                for key in gone:
                    del there[key]
                there[name] = pod(name, version)
                feed.watching.pop(scope, None)
                feed.load(list(there.values()), version=version)
                continue
            if name not in there:
                kind = "ADDED"
            else:
                kind = chosen.choice(["MODIFIED", "MODIFIED", "DELETED"])
            there[name] = pod(name, version)
            feed.event(scope, kind, there[name])
            if kind == "DELETED":
                del there[name]
        expected = {f"shop/{n}": o["metadata"]["resourceVersion"] for n, o in there.items()}
        assert versions(cache) == expected
        for told in every:
            told.wait_equal(expected)
    feed.close()


def test_handlers_share_what_is_read_and_hold_nothing_when_all_is_taken(
    feed: Feed, cache: vai.Cache
) -> None:
    scope = feed.load([pod("web-0", 7)])
    before = set(threading.enumerate())
    every = [Told() for _ in range(20)]
    for told in every:
        cache.add_handler("pods", **told.callbacks)
    feeds = {registration.delivery.feed for registration in cache.handlers}
    assert len(feeds) == 1
    for index in range(30):
        feed.event(scope, "ADDED", pod(f"web-{index + 1}", 101 + index))
    for told in every:
        told.wait_equal(versions(cache))
    (followed,) = feeds
    wait_until(lambda: not followed.entries(0))
    assert len(set(threading.enumerate()) - before) < 20
