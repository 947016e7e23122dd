from __future__ import annotations

import time
from pathlib import Path

import pytest

import vai
from tests.unit.cache.feed import DEPLOYMENTS, NODES, Feed, cache_of, pod
from vai.types import Scope


def test_wait_for_returns_what_satisfies_the_condition(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)])
    feed.later(0.2, lambda: feed.event(scope, "MODIFIED", pod("web-0", 101, ready=True)))
    found = cache.wait_for(
        "pods", "web-0", namespace="shop", until=lambda o: o and o.condition("Ready"), timeout=10
    )
    assert found is not None
    assert found.resource_version == "101"


def test_wait_for_returns_at_once_when_it_holds(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    assert cache.wait_for("pods", "shop/web-0", timeout=0).name == "web-0"


def test_wait_for_waits_for_an_object_that_is_not_there_yet(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load()
    feed.later(0.2, lambda: feed.event(scope, "ADDED", pod("web-0", 101)))
    assert cache.wait_for("pods", "shop/web-0", timeout=10).resource_version == "101"


def test_until_sees_none_only_when_absence_is_proven(feed: Feed, cache: vai.Cache) -> None:
    feed.scope()
    seen: list[vai.Object | None] = []
    started = time.monotonic()
    feed.later(0.3, feed.load)

    def absent(found: vai.Object | None) -> bool:
        seen.append(found)
        return found is None

    assert cache.wait_for("pods", "shop/web-0", until=absent, timeout=10) is None
    assert seen == [None]
    assert time.monotonic() - started > 0.25


def test_until_is_asked_once_per_version(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7), pod("web-1", 8)])
    seen: list[str] = []

    def second(found: vai.Object | None) -> bool:
        assert found is not None
        seen.append(found.resource_version)
        return len(seen) == 2

    def happening() -> None:
        feed.event(scope, "MODIFIED", pod("web-1", 101))
        time.sleep(0.2)
        feed.event(scope, "MODIFIED", pod("web-0", 102))

    feed.later(0.1, happening)
    cache.wait_for("pods", "shop/web-0", until=second, timeout=10)
    assert seen == ["7", "102"]


def test_a_late_wait_says_what_was_seen(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    with pytest.raises(vai.VaiTimeoutError, match=r"within 0\.1s: last seen .* 7 \(live"):
        cache.wait_for("pods", "shop/web-0", until=lambda _: False, timeout=0.1)
    with pytest.raises(TimeoutError, match="does not exist"):
        cache.wait_for("pods", "shop/web-1", timeout=0.1)
    feed.scope(NODES)
    with pytest.raises(vai.VaiTimeoutError, match=r"nothing was seen of it \(never synced"):
        cache.wait_for("nodes", "n1", timeout=0.1)


def test_an_error_of_until_is_the_callers(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])

    def broken(_: vai.Object | None) -> bool:
        raise vai.NotKeptError("mine")

    with pytest.raises(vai.NotKeptError, match="mine"):
        cache.wait_for("pods", "shop/web-0", until=broken, timeout=1)


def test_what_is_not_kept_is_not_waited_for(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    with pytest.raises(vai.NotKeptError):
        cache.wait_for("nodes", "n1", timeout=5)
    with pytest.raises(vai.UnknownResourceError):
        cache.wait_for("podz", "shop/web-0", timeout=5)
    with pytest.raises(vai.InvalidRequestError):
        cache.wait_for("pods", "web-0", timeout=5)


def test_one_reads_ones_own_writes(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)], version=100)
    feed.later(0.2, lambda: feed.event(scope, "MODIFIED", pod("web-0", 105)))
    found = cache.wait_for("pods", "shop/web-0", min_resource_version="104", timeout=10)
    assert found.resource_version == "105"
    assert cache.wait_for("pods", "shop/web-0", min_resource_version="105", timeout=0)


def test_a_bookmark_proves_that_an_object_did_not_change(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-0", 7)], version=100)
    with pytest.raises(vai.VaiTimeoutError, match="no version new enough"):
        cache.wait_for("pods", "shop/web-0", min_resource_version="150", timeout=0.05)
    feed.later(0.2, lambda: feed.bookmark(scope, 200))
    found = cache.wait_for("pods", "shop/web-0", min_resource_version="150", timeout=40)
    assert found.resource_version == "7"


def test_a_resource_version_has_a_form(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    with pytest.raises(vai.InvalidRequestError, match="not a resourceVersion"):
        cache.wait_for("pods", "shop/web-0", min_resource_version="x1", timeout=0)


def test_wait_synced_returns_at_once_for_a_warm_file(feed: Feed) -> None:
    feed.load()
    with vai.open(feed.path) as cache:
        cache.wait_synced(timeout=0)


def test_wait_synced_waits_for_every_scope(feed: Feed) -> None:
    feed.load(namespace="one")
    feed.scope(namespace="two")
    scopes = [Scope("pods", ["one", "two"])]
    with cache_of(feed.path, scopes, "reader")[0] as cache:
        with pytest.raises(vai.SyncTimeoutError, match="pods in two: never synced") as caught:
            cache.wait_synced(timeout=0.1)
        assert set(caught.value.scopes) == {"pods in two"}
        feed.later(0.2, lambda: feed.load(namespace="two"))
        cache.wait_synced(timeout=10)


def test_a_larger_scope_answers_for_a_smaller_one(feed: Feed) -> None:
    feed.load()
    scopes = [Scope("po", "shop", label_selector="a=b")]
    with cache_of(feed.path, scopes, "reader")[0] as cache:
        cache.wait_synced(timeout=0)


def test_a_follower_says_that_nobody_keeps_its_scope(feed: Feed) -> None:
    feed.load()
    cache, _ = cache_of(feed.path, ["nodes", "podz"], "reader")
    with cache, pytest.raises(vai.SyncTimeoutError) as caught:
        cache.wait_synced(timeout=0)
    assert "not kept" in caught.value.scopes["nodes"]
    assert "did you mean pods" in caught.value.scopes["podz"]


def test_everything_that_may_be_read_is_synced(feed: Feed) -> None:
    feed.load()
    feed.load(resource=DEPLOYMENTS)
    nodes = feed.scope(NODES)
    feed.store.set_state(nodes, vai.State.FORBIDDEN, "nodes: list")
    feed.store.flush()
    with cache_of(feed.path, ["*"], "reader")[0] as cache:
        cache.wait_synced(timeout=0)
    cache, _ = cache_of(feed.path, ["nodes"], "reader")
    with cache, pytest.raises(vai.SyncTimeoutError, match="forbidden"):
        cache.wait_synced(timeout=0)


def test_reasons_come_from_what_syncs(tmp_path: Path) -> None:
    path = tmp_path / "cluster.db"
    Feed(path, resources=()).close()
    problems = {"pods": vai.OfflineError("connection refused")}
    with cache_of(path, ["pods"], problems=problems)[0] as cache:
        with pytest.raises(vai.SyncTimeoutError, match="pods: connection refused"):
            cache.wait_synced(timeout=0)
        with pytest.raises(vai.NotSyncedError, match="connection refused"):
            cache.snapshot("pods")
        with pytest.raises(vai.VaiTimeoutError, match="connection refused"):
            cache.wait_for("pods", "shop/web-0", timeout=0.05)


def test_what_is_asked_for_and_not_in_the_file_yet_is_not_synced(feed: Feed) -> None:
    path = feed.path
    feed.close()
    with cache_of(path, ["po"], problems={})[0] as cache:
        with pytest.raises(vai.NotSyncedError):
            cache.snapshot("pods")
        with pytest.raises(vai.NotKeptError):
            cache.snapshot("nodes")
    cache, _ = cache_of(path, ["*"], problems={})
    with cache, pytest.raises(vai.NotSyncedError):
        cache.snapshot("nodes")


def test_what_lies_outside_a_scope_that_was_listed_before_is_not_waited_for(feed: Feed) -> None:
    """Discovery brings nothing that the file does not have already."""
    feed.load([pod("web-0", 7)], namespace="shop")
    feed.close()
    cache, _ = cache_of(feed.path, [Scope("pods", "shop")], problems={})
    with cache:
        assert cache.get("pods", "shop/web-0") is not None
        with pytest.raises(vai.NotKeptError):
            cache.get("pods", "bank/web-0")


def test_close_ends_a_wait(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    feed.later(0.2, cache.close)
    started = time.monotonic()
    with pytest.raises(vai.ClosedError):
        cache.wait_for("pods", "shop/none", timeout=60)
    assert time.monotonic() - started < 30


def test_an_unknown_resource_is_not_waited_for_once_discovery_answered(tmp_path: Path) -> None:
    unknown = vai.UnknownResourceError("no podz", nearest=["pods"])
    cache, made = cache_of(tmp_path / "cluster.db", ["podz"], problems={"podz": unknown})
    with cache:
        with pytest.raises(vai.SyncTimeoutError, match="no podz"):
            cache.wait_synced(timeout=0)
        made[0].planned = True
        with pytest.raises(vai.UnknownResourceError, match="no podz"):
            cache.wait_synced()


def test_a_file_of_another_cluster_ends_every_wait(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])
    feed.close()
    cache, made = cache_of(feed.path)
    with cache:
        changes = cache.changes("pods")
        made[0].fatal = vai.OtherClusterError("holds another cluster")
        for wait in (
            cache.wait_synced,
            lambda: cache.wait_for("pods", "shop/none"),
            lambda: next(changes),
        ):
            with pytest.raises(vai.OtherClusterError):
                wait()
        assert len(cache.snapshot("pods")) == 1
