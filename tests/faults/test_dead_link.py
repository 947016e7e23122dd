"""The link to a real kube-apiserver fails as TCP does not tell, and etcd dies under it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import Follower, kept, lists
from tests.faults.processes import (
    LIVE_WITHIN_S,
    StartSync,
    status,
    wait_states,
    wait_until,
)
from tests.faults.proxy import Proxy
from tests.faults.writes import collection, config_map, namespace
from tests.integration.real import listed

pytestmark = pytest.mark.slow
HERE: Final = "links"
#: The limit, and what a look from another process takes on a busy machine.
NOTICED_S: Final = LIVE_WITHIN_S + 4.0
#: Waits between tries grow to 10 s and up to twice that (`Settings.offline_cap_s`).
BACK_S: Final = 30.0


@pytest.fixture
def proxy(victim: ApiServer) -> Iterator[Proxy]:
    with Proxy(victim.port) as made:
        yield made


@pytest.fixture
def place(victim: ApiServer) -> str:
    """A namespace with ten ConfigMaps."""
    if victim.request("GET", f"/api/v1/namespaces/{HERE}").status == 404:
        victim.create_many([namespace(HERE)])
        victim.create_many(config_map(HERE, f"c{i}") for i in range(10))
    return HERE


@pytest.mark.parametrize("how", ["blackhole", "cut", "reset"])
def test_a_dead_link_is_offline_in_time_and_costs_no_list(
    victim: ApiServer, proxy: Proxy, place: str, sync: StartSync, tmp_path: Path, how: str
) -> None:
    file = tmp_path / "c.db"
    config = victim.write_kubeconfig(path=tmp_path / "kubeconfig", server=proxy.url)
    sync(file, config, "configmaps,serviceaccounts", "-n", place)
    wait_states(file, configmaps="live", serviceaccounts="live")
    before = victim.audit_position()
    with vai.open(file) as reader:
        follower = Follower(reader, "configmaps")
        getattr(proxy, how)()
        if how != "reset":
            noticed_s = wait_states(
                file, NOTICED_S, configmaps="offline", serviceaccounts="offline"
            )
            aging(file, reader)
        else:
            noticed_s = 0.0
        victim.patch(f"{collection(place)}/c1", {"data": {"value": how}})
        victim.delete(f"{collection(place)}/c2")
        victim.create_many([config_map(place, "c2", how)])
        proxy.restore()
        back_s = wait_states(file, BACK_S, configmaps="live", serviceaccounts="live")
        there = listed(victim, collection(place))[1]
        wait_until(lambda: kept(reader, "configmaps") == there)
        wait_until(lambda: follower.replayed() == there)
        assert [change.op for change in follower.seen] == ["update", "delete", "add"]
        assert not any(change.relist for change in follower.seen)
    print(f"{how}: offline after {noticed_s:.1f} s, live {back_s:.1f} s after it was restored")
    assert lists(victim.audit(VAI, since=before)) == {}


def aging(file: Path, reader: vai.Cache) -> None:
    """The age grows, the answer stays, and readers in two processes agree."""
    first = status(file)["configmaps"]
    time.sleep(1)
    second = status(file)["configmaps"]
    mine = reader.freshness("configmaps")
    assert first["complete"]
    assert second["complete"]
    assert second["age_s"] - first["age_s"] >= 1
    assert second["since_s"] - first["since_s"] >= 1
    assert mine.state is vai.State.OFFLINE
    assert 0 <= (mine.age_s or 0) - second["age_s"] < 2
    assert mine.reason == second["reason"] != ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_time_though_its_link_is_dead(
    victim: ApiServer,
    proxy: Proxy,
    place: str,
    sync: StartSync,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    file = tmp_path / "c.db"
    config = victim.write_kubeconfig(path=tmp_path / "kubeconfig", server=proxy.url)
    process = sync(file, config, "configmaps,serviceaccounts", "-n", place)
    wait_states(file, configmaps="live", serviceaccounts="live")
    proxy.blackhole()
    # Some of its threads wait for bytes that never come, others for new connections.
    time.sleep(6 if number is signal.SIGTERM else 0.5)
    started = time.monotonic()
    process.signal(number)
    assert process.ended(30) == 0
    took_s = time.monotonic() - started
    print(f"ended after {took_s:.2f} s")
    # Who waited for the link would be held up for longer.
    assert took_s < LIVE_WITHIN_S / 2


def test_a_server_without_its_etcd_is_never_taken_for_live(
    victim: ApiServer, place: str, sync: StartSync, tmp_path: Path
) -> None:
    """Its watches stay open and its requests hang."""
    file = tmp_path / "c.db"
    sync(file, victim.write_kubeconfig(), "configmaps,serviceaccounts", "-n", place)
    wait_states(file, configmaps="live", serviceaccounts="live")
    victim.kill_etcd()
    try:
        time.sleep(NOTICED_S)
        seen: set[tuple[str, str]] = set()
        for _ in range(8):
            scopes = status(file)
            seen |= {(one["state"], one["reason"]) for one in scopes.values()}
            assert all(scope["age_s"] > LIVE_WITHIN_S for scope in scopes.values()), scopes
            assert all(scope["reason"] for scope in scopes.values())
            time.sleep(0.3)
        print(seen)
        assert {state for state, _ in seen} <= {"stale", "offline"}
    finally:
        victim.restart_etcd()
    back_s = wait_states(file, BACK_S + 30, configmaps="live", serviceaccounts="live")
    victim.create_many([config_map(place, "after-etcd")])
    with vai.open(file) as reader:
        wait_until(lambda: kept(reader, "configmaps") == listed(victim, collection(place))[1])
    victim.delete(f"{collection(place)}/after-etcd")
    print(f"{back_s:.1f} s after etcd was back")
