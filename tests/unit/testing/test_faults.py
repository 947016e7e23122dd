from __future__ import annotations

import http.client
import json
import socket
import time

import pytest

from tests.timing import one_in_three
from tests.unit.testing.conftest import Client, pod
from vai.testing import Simulator

PODS = "/api/v1/pods"


def test_a_cut_resets_connections_and_refuses_new_ones_until_restored(
    api: Client, sim: Simulator
) -> None:
    port = sim.port
    with api.watch(f"{PODS}?watch=1&resourceVersion={sim.resource_version}") as stream:
        sim.cut()
        with pytest.raises(ConnectionResetError):
            stream.line()
    with pytest.raises(ConnectionRefusedError):
        api.get(PODS)
    sim.restore()
    assert sim.port == port
    assert api.get(PODS).status == 200


@pytest.mark.parametrize("mode", ["hang", "blackhole"])
def test_a_hanging_link_accepts_and_says_nothing(api: Client, sim: Simulator, mode: str) -> None:
    with api.watch(f"{PODS}?watch=1&resourceVersion={sim.resource_version}") as stream:
        sim.cut(mode)
        sim.add(pod("a"))
        assert stream.silent()
        connection = api.connect(timeout=0.3)
        connection.request("GET", PODS)
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
        sim.restore()
        assert stream.next()["object"]["metadata"]["name"] == "a"


def test_dropped_connections_may_come_back_at_once(api: Client, sim: Simulator) -> None:
    with api.watch(f"{PODS}?watch=1&resourceVersion={sim.resource_version}") as stream:
        sim.drop_connections()
        with pytest.raises(ConnectionResetError):
            stream.line()
    assert api.get(PODS).status == 200


def test_the_port_is_kept_while_the_link_is_cut(sim: Simulator) -> None:
    sim.cut()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((sim.host, sim.port))
    sim.restore()


def test_planned_failures_come_once_and_only_where_they_match(api: Client, sim: Simulator) -> None:
    sim.fail_next(429, retry_after=7, match="list pods")
    sim.fail_next(503, match=lambda request: request.name == "a", times=2)
    sim.add(pod("a"))
    assert api.get("/api/v1/configmaps").status == 200
    failed = api.get(PODS)
    assert (failed.status, failed.headers["Retry-After"]) == (429, "7")
    assert failed.json["reason"] == "TooManyRequests"
    assert api.get(PODS).status == 200
    one = "/api/v1/namespaces/default/pods/a"
    assert [api.get(one).status for _ in range(3)] == [503, 503, 200]


def test_a_malformed_event_leaves_the_next_ones_whole(api: Client, sim: Simulator) -> None:
    with api.watch(f"{PODS}?watch=1&resourceVersion={sim.resource_version}") as stream:
        sim.corrupt_next(match="watch pods")
        sim.add(pod("a"))
        with pytest.raises(json.JSONDecodeError):
            json.loads(stream.line())
        sim.add(pod("b"))
        assert stream.next()["object"]["metadata"]["name"] == "b"


def test_a_malformed_list_keeps_its_length(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    sim.corrupt_next(match="list pods")
    with pytest.raises(json.JSONDecodeError):
        api.get(PODS).json  # noqa: B018 - decoding is what fails
    assert api.get(PODS).names == ["a"]


def test_a_truncated_body_ends_early(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    sim.corrupt_next("truncated", match="list pods")
    with pytest.raises(http.client.IncompleteRead):
        api.get(PODS)
    assert api.get(PODS).names == ["a"]


def test_a_truncated_watch_ends_inside_an_event(api: Client, sim: Simulator) -> None:
    with api.watch(f"{PODS}?watch=1&resourceVersion={sim.resource_version}") as stream:
        sim.corrupt_next("truncated", match="watch")
        sim.add(pod("a"))
        part = stream.line()
        assert part.startswith(b'{"type":"ADDED"')
        assert not part.endswith(b"\n")
        assert not stream.complete


def test_a_lying_list_is_empty_once(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    sim.lie_next_list(match="list pods")
    lie = api.get(PODS)
    assert (lie.status, lie.json["items"], lie.rv) == (200, [], str(sim.resource_version))
    assert api.get(PODS).names == ["a"]


def test_a_restored_backup_turns_the_version_back(api: Client, sim: Simulator) -> None:
    sim.add(pod("a"))
    identity = sim.get("namespaces", "kube-system")
    before = api.get(PODS)
    saved = sim.backup()
    sim.delete("pods", "a")
    sim.add(pod("b"))
    late = sim.resource_version
    with api.watch(f"{PODS}?watch=1&resourceVersion={late}") as stream:
        assert sim.restore_backup() == saved
        with pytest.raises(ConnectionResetError):
            stream.line()
    after = api.get(PODS)
    assert after.body == before.body
    assert sim.get("namespaces", "kube-system") == identity
    # The trap: a watch from the lost future answers 200 and stays silent.
    with api.watch(f"{PODS}?watch=1&resourceVersion={late}") as stuck:
        sim.add(pod("c"))
        assert stuck.status == 200
        assert stuck.silent()


def test_a_restore_without_a_backup_uses_the_history(sim: Simulator) -> None:
    sim.add(pod("a"))
    rv = sim.resource_version
    sim.add(pod("b"))
    sim.restore_backup(rv)
    assert [p["metadata"]["name"] for p in sim.list("pods")] == ["a"]
    sim.compact()
    with pytest.raises(LookupError):
        sim.restore_backup(rv - 1)


def test_a_forbidden_resource_names_the_missing_rule(api: Client, sim: Simulator) -> None:
    sim.forbid("pods", "")
    denied = api.get(PODS)
    assert denied.status == 403
    assert denied.json["message"] == (
        'pods is forbidden: User "admin" cannot list resource "pods" in API group "" at the '
        "cluster scope"
    )
    assert api.get("/api/v1/namespaces/default/pods").status == 200
    sim.forbid("deployments.apps", "team")
    inside = api.get("/apis/apps/v1/namespaces/team/deployments?watch=1")
    assert (
        'cannot watch resource "deployments" in API group "apps" in the namespace "team"'
        in (inside.json["message"])
    )
    sim.allow()
    assert api.get(PODS).status == 200


def test_expired_credentials_and_tokens() -> None:
    with Simulator(token="s3cret") as sim:  # noqa: S106 - the token is the test
        api = Client(sim)
        assert api.get(PODS).status == 401
        assert api.get(PODS, Authorization="Bearer wrong").json["reason"] == "Unauthorized"
        assert api.get(PODS, Authorization="Bearer s3cret").status == 200
        sim.expire_credentials()
        assert api.get(PODS, Authorization="Bearer s3cret").status == 401
        sim.expire_credentials(expired=False)
        assert api.get(PODS, Authorization="Bearer s3cret").status == 200


def test_close_is_quick_with_open_watches_and_may_be_repeated() -> None:
    def attempt() -> float:
        sim = Simulator()
        streams = [
            Client(sim).watch(f"{PODS}?watch=1&resourceVersion={sim.resource_version}")
            for _ in range(20)
        ]
        started = time.monotonic()
        sim.close()
        sim.close()
        took_s = time.monotonic() - started
        for stream in streams:
            stream.close()
        return took_s

    one_in_three(attempt, 2)
