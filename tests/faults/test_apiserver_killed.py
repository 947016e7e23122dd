"""A real kube-apiserver is killed, and comes back with other contents."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import uuid4

import pytest

import vai
from tests.apiserver.etcd import encode, stored_form
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import Follower, Json, State, kept, lists
from tests.faults.processes import LIVE_WITHIN_S, wait_until
from tests.faults.writes import Writers, collection, config_map, namespace
from tests.integration.real import eventually, listed

pytestmark = pytest.mark.slow
HERE = "killed"
KEYS = [f"{HERE}/kept-{i:02d}" for i in range(40)]


def states(cache: vai.Cache) -> set[vai.State]:
    return {scope.state for scope in cache.status()}


def behind_its_back(server: ApiServer, known: State) -> None:
    """Writes into etcd while kube-apiserver is dead: ten each go, change, come again and come."""
    for key in KEYS[:10]:
        at = server.kinds.etcd_key(known[key])
        server._etcd.call("/v3/kv/deleterange", {"key": encode(at.encode())})
    changed = [known[key] | {"data": {"value": "changed"}} for key in KEYS[10:20]]
    again = [stamped(key.partition("/")[2]) for key in KEYS[20:30]]
    new = [stamped(f"new-{i:02d}") for i in range(10)]
    pairs = [(server.kinds.etcd_key(item), stored_form(item)) for item in changed + again + new]
    assert server._etcd.put_all(pairs, per_transaction=1) == 30


def stamped(name: str) -> Json:
    """As the server would make it, with another uid than any before."""
    item = config_map(HERE, name)
    item["metadata"] |= {"uid": str(uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z"}
    return item


def test_answers_go_on_and_it_is_live_again_without_a_false_delete_or_add(
    victim: ApiServer, tmp_path: Path
) -> None:
    victim.create_many([namespace(HERE)])
    victim.create_many(config_map(HERE, f"kept-{i:02d}") for i in range(40))
    scopes: list[vai.Scope | str] = [vai.Scope("configmaps", HERE), "namespaces", "clusterroles"]
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=victim.write_kubeconfig()) as cache:
        assert eventually(lambda: states(cache) == {vai.State.LIVE})
        follower = Follower(cache, "configmaps")
        with Writers(victim, HERE) as writers:
            assert eventually(lambda: writers.done > 100)
            killed = time.monotonic()
            victim.kill()
            wait_until(lambda: states(cache) == {vai.State.OFFLINE}, lambda: str(cache.status()))
            offline_s = time.monotonic() - killed
        known = kept(cache, "configmaps")
        ages = [cache.freshness("configmaps").age_s or 0.0]
        behind_its_back(victim, known)
        time.sleep(1.5)
        ages.append(cache.freshness("configmaps").age_s or 0.0)
        # The answers are the last ones, they are whole, and they say how old they are.
        assert kept(cache, "configmaps") == known
        assert cache.get("configmaps", "kept-00", namespace=HERE) is not None
        assert cache.freshness("configmaps").complete
        assert ages[1] - ages[0] >= 1.4
        assert "refused" in str(cache.freshness("configmaps"))

        before = victim.audit_position()
        restarted = time.monotonic()
        victim.restart()
        wait_until(lambda: states(cache) == {vai.State.LIVE}, lambda: str(cache.status()), 40)
        live_s = time.monotonic() - restarted - victim.start_s
        asked = lists(victim.audit(VAI, since=before))
        there = listed(victim, collection(HERE))[1]
        assert eventually(lambda: kept(cache, "configmaps") == there)
        assert eventually(lambda: follower.replayed() == there)
        print(
            f"{writers.done} writes; offline after {offline_s:.2f} s, live {live_s:.2f} s after "
            f"it was ready, lists {dict(asked)}, {len(follower.seen)} changes"
        )
        assert offline_s < LIVE_WITHIN_S
        assert set(asked.values()) <= {1}
        check_changes(follower)


def check_changes(follower: Follower) -> None:
    """What the test itself did, each once; what was left alone, never."""
    ours = {what: n for what, n in follower.ops().items() if not what[1].startswith(f"{HERE}/w")}
    expected = {("delete", key): 1 for key in KEYS[:10] + KEYS[20:30]}
    expected |= {("update", key): 1 for key in KEYS[10:20]}
    # Under another uid it is another object.
    expected |= {("add", key): 1 for key in KEYS[20:30]}
    expected |= {("add", f"{HERE}/new-{i:02d}"): 1 for i in range(10)}
    assert ours == expected
    found = [change for change in follower.seen if not change.key.startswith(f"{HERE}/w")]
    assert all(change.relist for change in found)
