from __future__ import annotations

import itertools
import time

import pytest

from tests.timing import one_in_three, wait_until
from tests.unit.testing.conftest import METADATA, TABLE, Client, config_map, pod
from vai.testing import Simulator

PODS = "/api/v1/pods?watch=1"
INITIAL = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def test_changes_arrive_in_order_with_kind(api: Client, sim: Simulator) -> None:
    with api.watch(f"{PODS}&resourceVersion={sim.resource_version}") as stream:
        sim.add(pod("a"))
        sim.patch("pods", "a", {"status": {"phase": "Failed"}})
        sim.delete("pods", "a")
        events = [stream.next() for _ in range(3)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert all(event["object"]["kind"] == "Pod" for event in events)
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[-1] == sim.resource_version
    assert events[2]["object"]["status"]["phase"] == "Failed"


def test_a_watch_resumes_after_its_version(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    rv = sim.resource_version
    sim.add(pod("b"))
    answer = api.get(f"{PODS}&timeoutSeconds=1&resourceVersion={rv}")
    assert [event["object"]["metadata"]["name"] for event in answer.events] == ["b"]


def test_entering_and_leaving_a_selection(api: Client, sim: Simulator) -> None:
    sim.add(pod("a", app="web"))
    query = f"{PODS}&resourceVersion={sim.resource_version}&labelSelector=app%3Ddb"
    with api.watch(query) as stream:
        sim.patch("pods", "a", {"spec": {"nodeName": "n2"}})  # not selected: silent
        sim.patch("pods", "a", {"metadata": {"labels": {"app": "db"}}})
        sim.patch("pods", "a", {"status": {"phase": "Failed"}})
        sim.patch("pods", "a", {"metadata": {"labels": {"app": "web"}}})
        events = [stream.next() for _ in range(3)]
        assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        # The old content under the new version.
        assert events[2]["object"]["metadata"]["labels"] == {"app": "db"}
        assert events[2]["object"]["metadata"]["resourceVersion"] == str(sim.resource_version)
        assert stream.silent()


def test_namespace_and_field_selectors_filter(api: Client, sim: Simulator) -> None:
    path = f"/api/v1/namespaces/team/pods?watch=1&resourceVersion={sim.resource_version}"
    with api.watch(f"{path}&fieldSelector=metadata.name%3Db") as stream:
        sim.add(pod("b"))
        sim.add(pod("a", "team"))
        sim.add(pod("b", "team"))
        assert stream.next()["object"]["metadata"]["namespace"] == "team"
        assert stream.silent()


def test_initial_events_end_with_an_annotated_bookmark(api: Client, sim: Simulator) -> None:
    sim.add(pod("b"))
    sim.add(pod("a"))
    with api.watch(f"{PODS}&{INITIAL}") as stream:
        first, second, end = (stream.next() for _ in range(3))
        assert [first["object"]["metadata"]["name"], second["object"]["metadata"]["name"]] == [
            "a",
            "b",
        ]
        assert end == {
            "type": "BOOKMARK",
            "object": {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {
                    "resourceVersion": str(sim.resource_version),
                    "annotations": {"k8s.io/initial-events-end": "true"},
                },
                "spec": {"containers": None},
                "status": {},
            },
        }
        sim.add(pod("c"))
        assert stream.next()["type"] == "ADDED"
    assert sim.request_log[-1].kind == "watchlist"


def test_a_probe_for_nobody_answers_with_the_current_version_at_once(
    api: Client, sim: Simulator
) -> None:
    sim.add(config_map("newer"))

    def attempt() -> float:
        with api.watch(f"{PODS}&{INITIAL}&fieldSelector=metadata.name%3Dnobody") as stream:
            started = time.monotonic()
            event = stream.next()
            took_s = time.monotonic() - started
        assert event["object"]["metadata"]["resourceVersion"] == str(sim.resource_version)
        return took_s

    one_in_three(attempt, 0.5)
    assert sim.request_log.probes("pods")
    assert not sim.request_log.lists("pods")


@pytest.mark.parametrize("query", ["", "&resourceVersion=0"])
def test_a_watch_from_nowhere_sends_what_is_there(api: Client, sim: Simulator, query: str) -> None:
    sim.add(pod("a"))
    answer = api.get(f"{PODS}&timeoutSeconds=1{query}")
    assert answer.kinds == ["ADDED"]
    assert sim.request_log[-1].kind == "watchlist"


def test_a_bookmark_comes_before_the_deadline_when_something_happened(
    api: Client, sim: Simulator
) -> None:
    sim.add(pod("a"))
    query = f"{PODS}&timeoutSeconds=3&allowWatchBookmarks=true"
    phases = itertools.count()

    def attempt() -> float:
        started = time.monotonic()
        with api.watch(f"{query}&resourceVersion={sim.resource_version}") as stream:
            sim.patch("pods", "a", {"status": {"phase": f"Phase{next(phases)}"}})
            assert stream.next()["type"] == "MODIFIED"
            bookmark = stream.next()
            took_s = time.monotonic() - started
            assert took_s > 0.5
            assert bookmark["type"] == "BOOKMARK"
            assert bookmark["object"]["metadata"]["resourceVersion"] == str(sim.resource_version)
            assert stream.line() == b""
        return took_s

    one_in_three(attempt, 2)


def test_a_quiet_watch_gets_no_bookmark(api: Client, sim: Simulator) -> None:
    rv = sim.resource_version
    sim.add(config_map("other"))  # another resource's cache
    query = f"{PODS}&timeoutSeconds=3&allowWatchBookmarks=true&resourceVersion={rv}"
    assert api.get(query).events == []


def test_a_quorum_list_moves_a_quiet_watchs_bookmark(api: Client, sim: Simulator) -> None:
    rv = sim.resource_version
    sim.add(config_map("other"))
    query = f"{PODS}&timeoutSeconds=3&allowWatchBookmarks=true&resourceVersion={rv}"
    with api.watch(query) as stream:
        api.get("/api/v1/pods?limit=1")
        assert stream.next()["type"] == "BOOKMARK"


def test_periodic_bookmarks() -> None:
    with Simulator(bookmark_every_s=0.2) as sim:
        query = f"{PODS}&allowWatchBookmarks=true&resourceVersion={sim.resource_version}"
        with Client(sim).watch(query) as stream:
            sim.add(pod("a"))
            assert stream.next()["type"] == "ADDED"
            assert [stream.next()["type"] for _ in range(2)] == ["BOOKMARK", "BOOKMARK"]


def test_an_old_version_is_an_error_event(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    old = sim.resource_version - 1
    sim.compact()
    answer = api.get(f"{PODS}&resourceVersion={old}")
    assert answer.status == 200
    (event,) = answer.events
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"] == (
        f"too old resource version: {old} ({sim.resource_version})"
    )


def test_the_history_is_bounded() -> None:
    with Simulator(history=20) as sim:
        rv = sim.resource_version
        for i in range(60):
            sim.add(pod(f"p{i}"))
        assert Client(sim).get(f"{PODS}&resourceVersion={rv}").kinds == ["ERROR"]
        recent = sim.resource_version - 5
        kinds = Client(sim).get(f"{PODS}&timeoutSeconds=1&resourceVersion={recent}").kinds
        assert kinds == ["ADDED"] * 5


def test_a_watch_from_the_future_is_silent_until_it_is_reached(api: Client, sim: Simulator) -> None:
    with api.watch(f"{PODS}&resourceVersion={sim.resource_version + 2}") as stream:
        sim.add(pod("a"))
        sim.add(pod("b"))
        assert stream.silent()
        sim.add(pod("c"))
        assert stream.next()["object"]["metadata"]["name"] == "c"


def test_only_a_table_watchs_first_event_has_columns(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    with api.watch(f"{PODS}&includeObject=Metadata", accept=TABLE) as stream:
        first = stream.next()["object"]
        sim.add(pod("b"))
        second = stream.next()["object"]
    assert first["columnDefinitions"][0]["name"] == "Name"
    assert second["columnDefinitions"] is None
    assert second["rows"][0]["cells"][0] == "b"
    assert second["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


def test_metadata_only_events(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    with api.watch(PODS, accept=METADATA) as stream:
        assert set(stream.next()["object"]) == {"kind", "apiVersion", "metadata"}


def test_the_watch_parameter_on_one_object_is_ignored(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    assert api.get("/api/v1/namespaces/default/pods/a?watch=1").json["kind"] == "Pod"


def test_a_watch_nobody_reads_ends(api: Client, sim: Simulator) -> None:
    stream = api.watch(f"{PODS}&resourceVersion={sim.resource_version}")
    assert sim.link.connections == 1
    stream.close()
    wait_until(lambda: sim.link.connections == 0)
