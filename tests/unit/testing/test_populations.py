from __future__ import annotations

import time

import pytest

from tests.timing import one_in_three
from tests.unit.testing.conftest import Client
from vai.testing import Simulator


def test_the_same_seed_makes_the_same_cluster() -> None:
    def bodies(seed: int) -> list[bytes]:
        with Simulator(seed=seed, now=lambda: 1_800_000_000.0) as sim:
            sim.populate(pods=60)
            api = Client(sim)
            return [api.get(f"/api/v1/{what}").body for what in ("pods", "nodes", "secrets")]

    assert bodies(3) == bodies(3)
    assert bodies(3) != bodies(4)


def test_the_numbers_are_those_asked_for(sim: Simulator) -> None:
    sim.populate(pods=120, configmaps=7, secrets=0, events=3, nodes=5)
    counts = {
        what: sim.count(what) for what in ("pods", "configmaps", "secrets", "events", "nodes")
    }
    assert counts == {"pods": 120, "configmaps": 7, "secrets": 0, "events": 3, "nodes": 5}
    assert sim.count("deployments") == sim.count("replicasets") == 15
    assert sim.count("leases") == 5
    sim.populate(pods=10)
    assert sim.count("pods") == 130
    with pytest.raises(TypeError, match="widgets"):
        sim.populate(pods=1, widgets=3)


def test_pods_look_real(sim: Simulator, api: Client) -> None:
    sim.populate(pods=200)
    answer = api.get("/api/v1/pods")
    assert 4000 < len(answer.body) / 200 < 7000
    replica_sets = {r["metadata"]["uid"] for r in sim.list("replicasets")}
    nodes = {n["metadata"]["name"] for n in sim.list("nodes")}
    for item in answer.json["items"]:
        assert item["metadata"]["ownerReferences"][0]["uid"] in replica_sets
        assert item["spec"]["nodeName"] in nodes
    phases = {item["status"]["phase"] for item in answer.json["items"]}
    assert {"Running", "Pending"} <= phases
    owned = sum(d["spec"]["replicas"] for d in sim.list("deployments"))
    assert owned == 200


def test_populating_reaches_running_watches(sim: Simulator, api: Client) -> None:
    with api.watch(f"/api/v1/pods?watch=1&resourceVersion={sim.resource_version}") as stream:
        sim.populate(pods=3)
        assert [stream.next()["type"] for _ in range(3)] == ["ADDED"] * 3


def test_churn_keeps_its_rate_and_the_number_of_pods(sim: Simulator) -> None:
    sim.populate(pods=50)

    def seconds_per_change() -> float:
        before = sim.resource_version
        started = time.monotonic()
        with sim.churn(100) as churn:
            time.sleep(1)
        took_s = time.monotonic() - started
        assert 0 < churn.changes <= 101 * took_s + 1
        assert sim.resource_version == before + churn.changes
        assert abs(sim.count("pods") - 50) <= 1
        return took_s / churn.changes

    one_in_three(seconds_per_change, 1 / 50)
    rv = sim.resource_version
    time.sleep(0.1)
    assert sim.resource_version == rv


def test_an_impossible_rate_is_refused(sim: Simulator) -> None:
    with pytest.raises(ValueError, match="above 0"):
        sim.churn(0)


@pytest.mark.slow
def test_five_thousand_pods_are_quick() -> None:
    """Generous limits for a busy machine; on two idle cores 0.9 s and 1,400 MB/s were seen."""

    def populate() -> float:
        with Simulator(seed=1) as sim:
            started = time.monotonic()
            sim.populate(pods=5000)
            took_s = time.monotonic() - started
            one_in_three(lambda: seconds_per_megabyte(Client(sim)), 1 / 30)
        return took_s

    def seconds_per_megabyte(api: Client) -> float:
        started = time.monotonic()
        size = len(api.get("/api/v1/pods").body)
        return (time.monotonic() - started) / (size / 1e6)

    one_in_three(populate, 6)
