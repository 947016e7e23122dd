from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import vai
from tests.unit.cache.feed import DEPLOYMENTS, NODES, PODS, SECRETS, Feed, pod
from vai.types import Redaction


def test_get_returns_the_object_or_its_proven_absence(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    found = cache.get("pods", "web-0", namespace="shop")
    assert found is not None
    assert found["status"]["podIP"] == "10.0.0.7"
    assert found["kind"] == "Pod"
    assert cache.get("pods", "web-1", namespace="shop") is None
    assert cache.get("po", "shop/web-0") == found


def test_get_names_what_is_missing_or_too_much(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    feed.load(resource=NODES)
    with pytest.raises(vai.InvalidRequestError, match="namespace="):
        cache.get("pods", "web-0")
    with pytest.raises(vai.InvalidRequestError, match="not namespaced"):
        cache.get("nodes", "n1", namespace="shop")
    with pytest.raises(vai.InvalidRequestError, match="not in namespace"):
        cache.get("pods", "shop/web-0", namespace="other")
    with pytest.raises(vai.InvalidRequestError, match="no name"):
        cache.get("pods", "shop/")
    assert cache.get("nodes", "n1") is None


def test_what_is_unknown_is_told_apart(feed: Feed, cache: vai.Cache) -> None:
    with pytest.raises(vai.NotKeptError):
        cache.get("pods", "shop/web-0")
    feed.scope()
    with pytest.raises(vai.NotSyncedError):
        cache.get("pods", "shop/web-0")
    with pytest.raises(vai.NotSyncedError):
        cache.snapshot("pods")
    with pytest.raises(vai.UnknownResourceError) as caught:
        cache.snapshot("podz")
    assert caught.value.nearest[0] == "pods"
    feed.load(namespace="other", resource=DEPLOYMENTS)
    with pytest.raises(vai.NotKeptError) as kept:
        cache.snapshot("deployments", "shop")
    assert any("deployments.apps" in scope for scope in kept.value.scopes)


def test_a_snapshot_is_a_mapping_of_one_moment(feed: Feed, cache: vai.Cache) -> None:
    scope = feed.load([pod("web-1", 8), pod("web-0", 7), pod("db-0", 6, "base")])
    pods = cache.snapshot("pods")
    feed.event(scope, "DELETED", pod("web-0", 101))
    assert list(pods) == ["base/db-0", "shop/web-0", "shop/web-1"]
    assert [found.key for found in pods.values()] == list(pods)
    assert [(key, found.name) for key, found in pods.items()][1] == ("shop/web-0", "web-0")
    assert len(pods) == 3
    assert "shop/web-0" in pods
    assert pods["shop/web-0"]["spec"]["nodeName"] == "node-1"
    assert pods.get("shop/none") is None
    with pytest.raises(KeyError, match="shop/none"):
        pods["shop/none"]
    assert "shop/web-0" not in cache.snapshot("pods")
    assert pods.resource.plural == "pods"
    assert pods.position < cache.position()
    assert pods == pods  # noqa: PLR0124 - identity is its equality
    assert pods != cache.snapshot("pods")
    assert "3 pods" in repr(pods)
    with pytest.raises(TypeError):
        pods["shop/web-0"] = pods["shop/web-1"]  # type: ignore[index]


def test_a_snapshot_outlives_its_cache(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])
    with vai.open(feed.path) as cache:
        pods = cache.snapshot("pods")
    assert pods["shop/web-0"]["status"]["podIP"] == "10.0.0.7"


def test_namespaces_and_selectors_narrow_it(feed: Feed, cache: vai.Cache) -> None:
    feed.load(
        [
            pod("a", 1, "one", labels={"app": "x"}),
            pod("b", 2, "two", labels={"app": "y"}),
            pod("c", 3, "three", labels={"app": "x"}),
        ]
    )
    assert list(cache.snapshot("pods", "one")) == ["one/a"]
    assert list(cache.snapshot("pods", ["one", "two"])) == ["one/a", "two/b"]
    assert list(cache.snapshot("pods", label_selector="app=x")) == ["one/a", "three/c"]
    assert list(cache.list("pods", "two", label_selector="app=x").items) == []


def test_a_bad_selector_says_where(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    with pytest.raises(vai.InvalidSelectorError) as caught:
        cache.snapshot("pods", label_selector="=x")
    assert caught.value.position == 0


def test_freshness_travels_with_the_answer(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)], version=100)
    fresh = cache.snapshot("pods").freshness
    assert fresh.state is vai.State.LIVE
    assert fresh.complete
    assert fresh.age_s is not None
    assert fresh.age_s < 5
    assert fresh.resource_version == "100"
    assert not fresh.older_than(60)
    assert cache.freshness("pods").state is vai.State.LIVE


def test_an_answer_over_several_scopes_is_as_fresh_as_its_worst(
    feed: Feed, cache: vai.Cache
) -> None:
    feed.load([pod("a", 1, "one")], namespace="one")
    two = feed.load([pod("b", 2, "two")], namespace="two")
    feed.store.set_state(two, vai.State.OFFLINE, "connection refused")
    fresh = cache.snapshot("pods").freshness
    assert fresh.state is vai.State.OFFLINE
    assert "connection refused" in str(fresh)
    assert fresh.complete
    assert fresh.resource_version is None
    assert cache.snapshot("pods", "one").freshness.state is vai.State.LIVE


def test_max_age_refuses_what_is_older(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    assert cache.get("pods", "shop/web-0", max_age=60)
    assert cache.list("pods", max_age=timedelta(minutes=1)).total == 1
    reads: list[Callable[[], object]] = [
        lambda: cache.get("pods", "shop/web-0", max_age=0),
        lambda: cache.snapshot("pods", max_age=0.0),
        lambda: cache.list("pods", max_age=timedelta(0)),
    ]
    for read in reads:
        with pytest.raises(vai.StaleError) as caught:
            read()
        assert caught.value.freshness.state is vai.State.LIVE


def test_pages_follow_each_other_by_key(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod(f"web-{n}", n + 1) for n in range(5)])
    page = cache.list("pods", limit=2)
    seen, totals = [found.name for found in page.items], [page.total]
    while page.cursor is not None:
        page = cache.list("pods", limit=2, cursor=page.cursor)
        seen += [found.name for found in page.items]
        totals.append(page.total)
    assert seen == [f"web-{n}" for n in range(5)]
    assert totals == [5, 5, 5]
    assert len(page) == 1


def test_a_page_is_a_kubernetes_list_in_bytes(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7), pod("web-1", 8)], version=100)
    page = cache.list("pods", limit=1)
    value = json.loads(page.raw)
    assert (value["kind"], value["apiVersion"]) == ("PodList", "v1")
    assert value["metadata"]["continue"] == page.cursor
    assert value["metadata"]["resourceVersion"] == "100"
    assert [item["metadata"]["name"] for item in value["items"]] == ["web-0"]
    assert page.freshness.headers()["X-Vai-State"] == "live"


def test_a_cursor_belongs_to_its_query(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod(f"web-{n}", n + 1) for n in range(3)])
    cursor = cache.list("pods", limit=1).cursor
    assert cursor is not None
    assert cache.list("po", limit=2, cursor=cursor).total == 3
    reads: list[Callable[[], vai.Page]] = [
        lambda: cache.list("pods", "shop", limit=1, cursor=cursor),
        lambda: cache.list("pods", limit=1, cursor=cursor, label_selector="a=b"),
        lambda: cache.list("pods", limit=1, cursor="junk"),
        lambda: cache.list("pods", limit=1, cursor="€"),
        lambda: cache.list("pods", limit=1, cursor=cursor[:-2]),
    ]
    for read in reads:
        with pytest.raises(vai.InvalidCursorError):
            read()


def test_a_limit_below_one_is_refused(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    with pytest.raises(vai.InvalidRequestError, match="limit"):
        cache.list("pods", limit=0)


def test_redacted_objects_show_metadata_only(feed: Feed, cache: vai.Cache) -> None:
    secret = pod("token", 7) | {"kind": "PartialObjectMetadata"}
    del secret["spec"], secret["status"]
    feed.load([secret], SECRETS, redaction=Redaction.METADATA)
    found = cache.snapshot("secrets")["shop/token"]
    assert found.redacted
    assert found.metadata["name"] == "token"
    with pytest.raises(vai.NotKeptError, match="--secret-values"):
        found["data"]
    page = cache.list("secrets")
    with pytest.raises(vai.NotKeptError, match="--secret-values"):
        _ = page.raw
    assert [item.name for item in page.items] == ["token"]


def test_the_file_says_what_it_is(feed: Feed, cache: vai.Cache) -> None:
    feed.load()
    cluster = cache.cluster()
    assert cluster is not None
    assert cluster.uid == "uid-1"
    assert PODS in cache.resources()
    assert cache.resolve("po") == PODS
    assert [str(status) for status in cache.status()] == ["pods"]
    assert cache.path == str(feed.path)
    assert cache.role == "reader"
    assert str(feed.path) in repr(cache)


def test_an_empty_file_was_never_synced(tmp_path: Path) -> None:
    empty = Feed(tmp_path / "empty.db", resources=())
    with vai.open(empty.path) as cache:
        with pytest.raises(vai.NotSyncedError, match="never synced"):
            cache.get("pods", "shop/web-0")
        with pytest.raises(vai.SyncTimeoutError) as caught:
            cache.wait_synced(timeout=0)
        assert list(caught.value.scopes.values()) == ["never synced"]
    empty.close()


def test_a_file_that_is_not_there_is_not_made(feed: Feed) -> None:
    missing = feed.path.with_name("missing.db")
    with pytest.raises(vai.NotFoundError, match=r"missing\.db"):
        vai.open(missing)
    assert not missing.exists()
