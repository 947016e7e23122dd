"""Questions of every kind, each answer compared with plain Python over the same objects."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import vai
from tests.unit.cache.feed import DEPLOYMENTS, NODES, Feed, cache_of, pod
from vai.cache.question import moment, projection
from vai.store import AtPosition, AtTime, Paths

Json = dict[str, Any]

PHASES = ("Running", "Running", "Running", "Pending", "Failed")


def made(at: int) -> Json:
    """A pod whose every value follows from its number."""
    one = pod(f"p{at:03}", at + 1, ("dev", "shop", "team-a")[at % 3], labels={"app": f"a{at % 4}"})
    one["metadata"]["creationTimestamp"] = f"2026-01-{1 + at % 28:02}T00:00:00Z"
    one["spec"]["nodeName"] = f"node-{at % 7}"
    one["spec"]["containers"] = [
        {"name": "c", "image": f"i{at % 2}", "resources": {"requests": {"memory": f"{at}Mi"}}}
    ]
    one["status"] |= {
        "phase": PHASES[at % 5],
        "podIP": f"10.0.{at % 3}.{at}",
        "containerStatuses": [{"name": "c", "restartCount": at % 6, "ready": True}],
    }
    if at % 10 == 0:
        del one["spec"]["nodeName"]
    return one


def key(one: Json) -> str:
    return f"{one['metadata']['namespace']}/{one['metadata']['name']}"


PODS_MADE = sorted((made(at) for at in range(120)), key=lambda one: key(one).encode())


def keys(matches: Callable[[Json], bool] = lambda _: True) -> list[str]:
    return [key(one) for one in PODS_MADE if matches(one)]


def restarts(one: Json) -> int:
    return int(one["status"]["containerStatuses"][0]["restartCount"])


def phase(one: Json) -> str:
    return str(one["status"]["phase"])


def memory(one: Json) -> int:
    text = one["spec"]["containers"][0]["resources"]["requests"]["memory"]
    return int(text.removesuffix("Mi"))


@pytest.fixture
def scope(feed: Feed) -> int:
    return feed.load(PODS_MADE)


pytestmark = pytest.mark.usefixtures("scope")


# --- filters


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("status.phase = Running", lambda one: phase(one) == "Running"),
        ("phase in (Pending, Failed)", lambda one: phase(one) != "Running"),
        (
            "status.phase = Running and restarts > 3",
            lambda one: phase(one) == "Running" and restarts(one) > 3,
        ),
        (
            "not (phase = Running or restarts <= 2)",
            lambda one: phase(one) != "Running" and restarts(one) > 2,
        ),
        ("requests.memory >= 64Mi", lambda one: memory(one) >= 64),
        ("requests.memory < 0.0625Gi", lambda one: memory(one) < 64),
        ("labels[app] = a1", lambda one: one["metadata"]["labels"]["app"] == "a1"),
        ("metadata.name startswith p00", lambda one: one["metadata"]["name"] < "p010"),
        ("nodeName = node-3", lambda one: one["spec"].get("nodeName") == "node-3"),
        ("not exists nodeName", lambda one: "nodeName" not in one["spec"]),
        ("ip in 10.0.1.0/24", lambda one: one["status"]["podIP"].startswith("10.0.1.")),
        (".status.containerStatuses[*].restartCount > 3", lambda one: restarts(one) > 3),
        (
            "all(.status.containerStatuses[*].restartCount) in (1, 5)",
            lambda one: restarts(one) in {1, 5},
        ),
        (
            ".spec.containers[*].image = i1",
            lambda one: one["spec"]["containers"][0]["image"] == "i1",
        ),
    ],
)
def test_expressions_choose(cache: vai.Cache, where: str, matches: Callable[[Json], bool]) -> None:
    page = cache.list("pods", where=where)
    assert page.keys == keys(matches)
    assert page.total == len(page) == cache.count("pods", where=where)
    assert 0 < page.total < 120


def test_filters_are_combined(cache: vai.Cache) -> None:
    page = cache.list(
        "pods",
        ["shop", "dev"],
        where="restarts > 1",
        label_selector="app!=a1",
        field_selector="status.phase=Running",
    )
    assert page.keys == keys(
        lambda one: (
            one["metadata"]["namespace"] in {"shop", "dev"}
            and restarts(one) > 1
            and one["metadata"]["labels"]["app"] != "a1"
            and phase(one) == "Running"
        )
    )


def test_what_may_be_seen_bounds_rows_and_counts(cache: vai.Cache) -> None:
    access = [
        vai.Partition(namespace="dev"),
        vai.Partition(namespace="shop", names=("p001", "nobody")),
    ]
    expected = keys(lambda one: one["metadata"]["namespace"] == "dev" or key(one) == "shop/p001")
    page = cache.list("pods", access=access, facets="metadata.namespace")
    assert page.keys == expected
    assert page.facets["metadata.namespace"].as_dict() == {"dev": 40, "shop": 1}
    assert cache.count("pods", access=[]) == 0


# --- order, pages


def test_sorting_by_several_fields(cache: vai.Cache) -> None:
    page = cache.list("pods", sort=["-restarts", "status.phase"])
    expected = sorted(PODS_MADE, key=lambda one: (-restarts(one), phase(one), key(one).encode()))
    assert page.keys == [key(one) for one in expected]


def test_a_missing_value_sorts_last_in_both_directions(cache: vai.Cache) -> None:
    nodeless = keys(lambda one: "nodeName" not in one["spec"])
    assert cache.list("pods", sort="nodeName").keys[-len(nodeless) :] == nodeless
    assert cache.list("pods", sort="-nodeName").keys[-len(nodeless) :] == nodeless


def test_offsets_and_cursors_cut_the_same_list(cache: vai.Cache) -> None:
    whole = cache.list("pods", where="phase = Running", sort="-age").keys
    assert (
        cache.list("pods", where="phase = Running", sort="-age", limit=10, offset=65).keys
        == whole[65:75]
    )
    walked, cursor = list[str](), None
    while True:
        page = cache.list("pods", where="phase = Running", sort="-age", limit=7, cursor=cursor)
        assert page.total == len(whole)
        walked += page.keys
        cursor = page.cursor
        if cursor is None:
            break
    assert walked == whole


def test_a_walk_is_of_one_moment(feed: Feed, cache: vai.Cache, scope: int) -> None:
    page = cache.list("pods", limit=50)
    for at in (0, 60, 119):
        changed = made(at)
        changed["metadata"] |= {"resourceVersion": str(1000 + at), "labels": {"app": "new"}}
        feed.event(scope, "MODIFIED", changed)
    feed.event(scope, "DELETED", made(118))
    feed.event(scope, "ADDED", pod("a-new-one", 2000, "aaa"))
    found = page.items
    while page.cursor is not None:
        page = cache.list("pods", limit=50, cursor=page.cursor)
        assert page.total == 120
        found += page.items
    assert [one.to_dict() for one in found] == PODS_MADE
    assert cache.count("pods") == 120


# --- counts


def test_facets_count_over_all_that_matches(cache: vai.Cache) -> None:
    page = cache.list("pods", where="restarts > 2", limit=1, facets=["status.phase", "nodeName"])
    matching = [one for one in PODS_MADE if restarts(one) > 2]
    assert page.facets["status.phase"].as_dict() == dict(Counter(map(phase, matching)))
    nodes = Counter(one["spec"].get("nodeName") for one in matching)
    missing = nodes.pop(None)
    assert page.facets["nodeName"].as_dict() == dict(nodes)
    assert (page.facets["nodeName"].missing, page.facets["nodeName"].distinct) == (missing, 7)
    counts = [one.count for one in page.facets["nodeName"].values]
    assert counts == sorted(counts, reverse=True)
    few = cache.facets("pods", "nodeName", limit=2)["nodeName"]
    assert (len(few.values), few.distinct) == (2, 7)


def test_distinct_values_for_type_ahead(cache: vai.Cache) -> None:
    found = cache.distinct("pods", "nodeName", prefix="node-", limit=3)
    assert (list(found), found.more, len(found)) == (["node-0", "node-1", "node-2"], True, 3)
    assert list(cache.distinct("pods", "labels[app]")) == ["a0", "a1", "a2", "a3"]
    assert list(cache.distinct("pods", "labels[app]", prefix="x")) == []


def test_groups_count_and_sum_and_bound(cache: vai.Cache) -> None:
    groups = cache.group_by(
        "pods", "nodeName", sum="restarts", min="restarts", max=["restarts", "requests.memory"]
    )
    by_node: dict[str | None, list[Json]] = {}
    for one in PODS_MADE:
        by_node.setdefault(one["spec"].get("nodeName"), []).append(one)
    assert {group.key["nodeName"] for group in groups} == set(by_node)
    for group in groups:
        mine = by_node[group.key["nodeName"]]
        assert group.count == len(mine)
        assert float(group.sum["restarts"]) == sum(map(restarts, mine))
        assert group.min["restarts"] == min(map(restarts, mine))
        assert group.max["restarts"] == max(map(restarts, mine))
        most = cache.count("pods", where=f"requests.memory = {group.max['requests.memory']}")
        assert most == 1
    total = cache.group_by("pods", ["nodeName", "phase"], where="phase = Failed")
    assert sum(group.count for group in total) == 24


# --- several resources, projections


def test_several_resources_share_filter_and_order(feed: Feed, cache: vai.Cache) -> None:
    deployment = pod("p0005", 9, "dev", labels={"app": "a1"}) | {
        "kind": "Deployment", "apiVersion": "apps/v1",
    }  # fmt: skip
    feed.load([deployment], DEPLOYMENTS)
    page = cache.list(["pods", "deploy"], where="labels[app] = a1", sort="name", limit=4)
    assert page.keys == ["dev/p0005", "shop/p001", "team-a/p005", "dev/p009"]
    assert page.total == 31
    with pytest.raises(vai.UnknownFieldError):
        cache.count(["pods", "deploy"], where="restarts > 3")


def test_several_resources_are_one_list(feed: Feed, cache: vai.Cache) -> None:
    node = {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": "n", "uid": "n", "resourceVersion": "9"},
    }
    feed.load([node], NODES)
    page = cache.list(["pods", "nodes"], limit=200)
    assert page.total == 121
    assert {row.resource for row in map(page.rows.__getitem__, range(121))} == {"pods", "nodes"}
    value = json.loads(page.raw)
    assert (value["kind"], len(value["items"])) == ("List", 121)
    assert cache.count("*") == 121
    assert "pods, nodes" in repr(page)


def test_projections(cache: vai.Cache) -> None:
    first = PODS_MADE[0]
    (found,) = json.loads(cache.list("pods", limit=1, project="metadata").raw)["items"]
    assert found == {name: first[name] for name in ("apiVersion", "kind", "metadata")}
    (found,) = json.loads(
        cache.list("pods", limit=1, project=["status.phase", ".metadata.name"]).raw
    )["items"]
    assert found == {
        "metadata": {"name": first["metadata"]["name"]},
        "status": {"phase": first["status"]["phase"]},
    }
    assert cache.list("pods", limit=1, project="keys").keys == [key(first)]


# --- explain


def test_explain_tells_the_plan_in_words_and_in_json(cache: vai.Cache) -> None:
    told = cache.explain("pods", where="phase = Running and .spec.priority9 = 3", sort="-age")
    (one,) = told.resources
    assert one.resource == "pods"
    assert "spec.priority9" in " ".join(one.not_indexed)
    assert told.total == 0
    assert told.steps
    text = str(told)
    assert text.startswith("pods: ")
    assert "cache.index(" in text
    assert json.loads(told.json())["total"] == 0
    assert cache.list("pods").explain is None
    assert cache.list("pods", explain=True).explain is not None


# --- the past


def test_the_past_is_asked_for_by_position_and_by_time(
    feed: Feed, cache: vai.Cache, scope: int
) -> None:
    before = cache.list("pods", limit=1).position
    time.sleep(0.05)
    then = datetime.now(UTC)
    # So much may pass between the words "so long ago" and the question.
    time.sleep(0.5)
    changed = made(7) | {"status": {"phase": "Lost"}}
    changed["metadata"]["resourceVersion"] = "900"
    feed.event(scope, "MODIFIED", changed)
    feed.event(scope, "DELETED", made(8))
    moments: list[Callable[[], Any]] = [
        lambda: before,
        lambda: then,
        then.astimezone,
        lambda: datetime.now(UTC) - then,
    ]
    for at in moments:
        assert [one.to_dict() for one in cache.list("pods", at=at()).items] == PODS_MADE
        assert cache.count("pods", where="phase = Lost", at=at()) == 0
    assert cache.count("pods", where="phase = Lost") == 1
    assert cache.count("pods") == 119


def test_a_past_out_of_reach_is_expired(cache: vai.Cache) -> None:
    with pytest.raises(vai.ExpiredError):
        cache.list("pods", at=vai.Position(99, 1))


@pytest.mark.parametrize("at", [
    datetime(2026, 1, 1),  # noqa: DTZ001
    datetime.now(UTC) + timedelta(days=1),
    timedelta(seconds=-1),
    vai.Position(2**63, 1),
    "10m",
    5,
])  # fmt: skip
def test_a_moment_that_is_none_is_refused(cache: vai.Cache, at: Any) -> None:
    with pytest.raises(vai.InvalidRequestError, match="at="):
        cache.list("pods", at=at)


def test_an_age_that_is_no_number_does_not_make_everything_fresh(cache: vai.Cache) -> None:
    with pytest.raises(ValueError, match="NaN"):
        cache.list("pods", max_age=float("nan"))


def test_moments_as_the_core_takes_them() -> None:
    assert moment(None) is None
    assert moment(vai.Position(2, 7)) == AtPosition(2, 7)
    assert moment(datetime(2026, 1, 1, tzinfo=UTC)) == AtTime(1_767_225_600_000)
    ago = moment(timedelta(minutes=10))
    assert isinstance(ago, AtTime)
    assert ago.time_ms == pytest.approx((time.time() - 600) * 1000, abs=5000)


# --- freshness as an argument


def test_an_old_answer_is_raised_or_served(feed: Feed, cache: vai.Cache, scope: int) -> None:
    feed.store.set_state(scope, vai.State.OFFLINE, "connection refused")
    feed.store.flush()
    for demand in ({"max_age": 0.0}, {"min_resource_version": "101"}):
        with pytest.raises(vai.StaleError) as caught:
            cache.list("pods", **demand)
        assert caught.value.freshness.state is vai.State.OFFLINE
        page = cache.list("pods", on_stale="serve", **demand)
        assert page.total == 120
    assert cache.count("pods", min_resource_version="100") == 120


def test_a_bounded_wait_ends_with_the_proof(feed: Feed, cache: vai.Cache, scope: int) -> None:
    started = time.monotonic()
    feed.later(0.3, lambda: feed.event(scope, "ADDED", pod("late", 500)))
    page = cache.list(
        "pods", where="name = late", min_resource_version="500", on_stale="wait", timeout=60
    )
    assert page.total == 1
    assert 0.2 < time.monotonic() - started < 30
    with pytest.raises(vai.StaleError, match=r"waited 0\.2s"):
        cache.list("pods", min_resource_version="501", on_stale="wait", timeout=0.2)


def test_a_coroutine_waits_without_holding_up_its_loop(
    feed: Feed, cache: vai.Cache, scope: int
) -> None:
    async def main() -> int:
        ticks = 0
        asked = asyncio.create_task(
            cache.aio.list(
                "pods", where="name = late", min_resource_version="500", on_stale="wait", timeout=10
            )
        )
        while not asked.done():
            await asyncio.sleep(0.02)
            ticks += 1
            if ticks == 5:
                await asyncio.to_thread(feed.event, scope, "ADDED", pod("late", 500))
        assert (await asked).total == 1
        return ticks

    assert asyncio.run(main()) >= 5


def test_the_first_list_is_waited_for_too(feed: Feed) -> None:
    cache, _ = cache_of(feed.path, role="reader")
    node = {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": "n", "uid": "n", "resourceVersion": "9"},
    }
    feed.scope(NODES)
    with cache:
        with pytest.raises(vai.NotSyncedError, match="waited"):
            cache.list("nodes", on_stale="wait", timeout=0.1)
        feed.later(0.2, lambda: feed.load([node], NODES))
        assert cache.list("nodes", on_stale="wait", timeout=10).total == 1


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"on_stale": "hope"}, "on_stale"),
        ({"min_resource_version": "abc"}, "resourceVersion"),
        ({"at": timedelta(0), "max_age": 5}, "past"),
        ({"limit": 0}, "limit"),
        ({"offset": -1}, "offset"),
        ({"project": "everything"}, "project"),
        ({"cursor": "x", "offset": 5}, "cursor"),
        ({"facet_limit": 0}, "facet_limit"),
    ],
)
def test_what_makes_no_sense_is_refused(cache: vai.Cache, asked: Any, what: str) -> None:
    with pytest.raises(vai.InvalidRequestError, match=what):
        cache.list("pods", **asked)


# --- bad input


def test_a_bad_selector_has_a_position_in_characters(cache: vai.Cache) -> None:
    with pytest.raises(vai.InvalidSelectorError) as caught:
        cache.list("pods", label_selector=(selector := "a in (é,ü"))
    assert caught.value.position == len(selector)
    with pytest.raises(vai.InvalidSelectorError) as caught:
        cache.list("pods", field_selector=(selector := "é=ü,é=ß,x"))
    assert caught.value.position == selector.index("x")


def test_a_bad_expression_has_a_position(cache: vai.Cache) -> None:
    with pytest.raises(vai.InvalidExpressionError) as caught:
        cache.list("pods", where="phase = Running and (restarts >")
    assert caught.value.position == 31
    with pytest.raises(vai.InvalidExpressionError) as caught:
        cache.list("pods", where="name = 'ü' and restarts > many")
    assert caught.value.position == 26  # in characters


def test_an_unknown_field_has_neighbours(cache: vai.Cache) -> None:
    for ask in (
        lambda: cache.count("pods", where="restart > 3"),
        lambda: cache.list("pods", sort="restart"),
        lambda: cache.facets("pods", "restart"),
        lambda: cache.group_by("pods", "restart"),
        lambda: cache.distinct("pods", "restart"),
    ):
        with pytest.raises(vai.UnknownFieldError) as caught:
            ask()
        assert "restarts" in caught.value.nearest


def test_projections_as_the_core_takes_them() -> None:
    assert projection("keys") == "keys"
    assert projection([".a", "b"]) == Paths((".a", "b"))
