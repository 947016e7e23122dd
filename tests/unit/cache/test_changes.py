from __future__ import annotations

import asyncio
import pickle
import threading
import time
from itertools import islice
from pathlib import Path

import pytest

import vai
from tests.timing import wait_until
from tests.unit.cache.feed import NODES, Feed, cache_of, pod


def test_changes_come_in_order_with_old_and_new(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    changes = cache.changes("pods")
    feed.event(scope, "ADDED", pod("web-1", 101))
    feed.event(scope, "MODIFIED", pod("web-0", 102, ready=True))
    feed.event(scope, "DELETED", pod("web-1", 103))
    add, update, delete = islice(changes, 3)
    assert [found.op for found in (add, update, delete)] == ["add", "update", "delete"]
    assert add.object is not None
    assert add.old is None
    assert (add.key, add.resource, add.object.name) == ("shop/web-1", "pods", "web-1")
    assert update.object is not None
    assert update.old is not None
    assert update.object.condition("Ready")
    assert not update.old.condition("Ready")
    assert delete.object is None
    assert delete.old is not None
    assert delete.old.key == "shop/web-1"
    assert add.position < update.position < delete.position
    assert not add.relist
    assert abs(add.time_s - time.time()) < 60
    assert pickle.loads(pickle.dumps(add)) == add  # noqa: S301 - our own bytes


def test_changes_go_on_from_a_snapshot(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    pods = cache.snapshot("pods")
    feed.event(scope, "ADDED", pod("web-1", 101))
    feed.event(scope, "ADDED", pod("web-2", 102))
    changes = cache.changes(["pods"], since=pods.position)
    first = next(changes)
    assert first.key == "shop/web-1"
    assert next(cache.changes("po", since=first.position)).key == "shop/web-2"


def test_changes_of_other_resources_are_left_out(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()
    nodes = feed.load(resource=NODES)
    changes = cache.changes(["nodes"])
    feed.event(scope, "ADDED", pod("web-0", 101))
    node = pod("n1", 102) | {"kind": "Node"}
    del node["metadata"]["namespace"]
    feed.event(nodes, "ADDED", node)
    assert next(changes).key == "n1"


def test_changes_begin_after_the_first_list(feed: Feed) -> None:
    path = feed.path
    with cache_of(path, ["pods"], "reader")[0] as cache:
        feed.scope()
        changes = cache.changes("pods")
        scope = feed.load([pod("web-0", 7)])
        feed.later(0.5, lambda: feed.event(scope, "ADDED", pod("web-1", 101)))
        assert next(changes).key == "shop/web-1"


def test_a_loop_ends_when_the_cache_is_closed(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()
    seen: list[str] = []
    loop = threading.Thread(target=lambda: seen.extend(ch.key for ch in changes))
    changes = cache.changes("pods")
    loop.start()
    feed.event(scope, "ADDED", pod("web-0", 101))
    wait_until(lambda: seen)
    cache.close()
    loop.join(30)
    assert not loop.is_alive()
    assert seen == ["shop/web-0"]
    assert list(changes) == []
    with pytest.raises(vai.ClosedError):
        cache.changes("pods")


def test_a_loop_ends_when_it_is_closed_itself(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()
    with cache.changes("pods") as changes:
        feed.event(scope, "ADDED", pod("web-0", 101))
        for _ in changes:
            changes.close()
    assert list(changes) == []
    assert not cache.closed


def test_what_is_not_kept_has_no_changes(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    with pytest.raises(vai.NotKeptError):
        cache.changes("nodes")
    with pytest.raises(vai.UnknownResourceError):
        cache.changes(["pods", "podz"])


def test_changes_may_be_asked_for_before_discovery(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    Feed(path, resources=()).close()
    problems: dict[str, vai.VaiError] = {}
    cache, made = cache_of(path, ["pods"], problems=problems)
    with cache:
        changes = cache.changes("pods")
        timer = threading.Timer(0.2, changes.close)
        timer.start()
        assert list(changes) == []
        assert made[0].started == 1
        timer.join()


def test_a_filter_gives_transitions_as_a_server_does(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7, labels={"app": "web"})])
    start = cache.position()
    changes = cache.changes("pods", label_selector="app=web", namespace="shop")
    feed.event(scope, "ADDED", pod("db-0", 101, labels={"app": "db"}))
    feed.event(scope, "MODIFIED", pod("web-0", 102, labels={"app": "db"}))
    feed.event(scope, "ADDED", pod("web-1", 103, "other", labels={"app": "web"}))
    feed.event(scope, "MODIFIED", pod("db-0", 104, labels={"app": "web"}))
    left, joined = islice(changes, 2)
    assert (left.op, left.key, left.object, left.resource_version) == (
        "delete",
        "shop/web-0",
        None,
        "102",
    )
    assert left.old is not None
    assert left.old.labels == {"app": "web"}
    assert (joined.op, joined.key, joined.old) == ("add", "shop/db-0", None)
    assert changes.poll() is None
    where = cache.changes("pods", start, where="labels[app] = web and metadata.name = db-0")
    found = where.poll(5)
    assert found is not None
    assert found.key == "shop/db-0"


def test_filters_that_make_no_sense_are_refused_at_once(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    feed.load(resource=NODES)
    with pytest.raises(vai.InvalidSelectorError):
        cache.changes("pods", label_selector="a in")
    with pytest.raises(vai.InvalidExpressionError):
        cache.changes("pods", where="phase =")
    with pytest.raises(vai.UnknownFieldError):
        cache.changes("pods", where="phaze = 1")
    with pytest.raises(vai.InvalidRequestError):
        cache.changes(["pods", "nodes"], namespace="shop")


def test_coroutines_filter_too_and_are_not_held_up(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod(f"p{number}", 7) for number in range(200)])
    feed.event(scope, "ADDED", pod("web-1", 103, labels={"app": "web"}))

    async def main() -> None:
        changes = cache.aio.changes("pods", "beginning", where="labels[app] = web")
        async with asyncio.timeout(30):
            assert (await anext(changes)).key == "shop/web-1"

    asyncio.run(main())
