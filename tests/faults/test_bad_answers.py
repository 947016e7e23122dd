"""A server that sends damaged bytes, that lies, or that was restored from a backup."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.faults.history import Follower, kept
from tests.faults.processes import wait_until
from tests.integration.real import eventually, exact, key_of
from vai.testing import Damage, Simulator

Json = dict[str, Any]


def pod(name: str, phase: str = "Running") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
        "status": {"phase": phase},
    }


@pytest.fixture
def cache(sim: Simulator, tmp_path: Path) -> Iterator[vai.Cache]:
    """A copy of 20 pods and 10 nodes that is live."""
    sim.apply(*(pod(f"p-{i:02d}") for i in range(20)))
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    with vai.connect(tmp_path / "c.db", ["pods", "namespaces"], kubeconfig=config) as made:
        wait_live(made)
        yield made


def wait_live(cache: vai.Cache) -> None:
    wait_until(
        lambda: {scope.state for scope in cache.status()} == {vai.State.LIVE},
        lambda: str(cache.status()),
    )


def same(cache: vai.Cache, sim: Simulator) -> bool:
    """Whether the copy of the pods is what the server has, number by number."""
    there = {key_of(item): exact(json.dumps(item)) for item in sim.list("pods")}
    return kept(cache, "pods") == there


def test_a_malformed_object_in_a_watch_is_told_and_listed_again_and_the_rest_is_kept(
    cache: vai.Cache, sim: Simulator
) -> None:
    follower = Follower(cache, "pods")
    reasons: set[str] = set()
    before = len(sim.request_log.lists("pods"))
    sim.corrupt_next(Damage.MALFORMED, match="watch pods")
    sim.apply(pod("p-00", "Failed"))
    sim.apply(pod("p-01", "Failed"))

    def settled() -> bool:
        reasons.add(cache.freshness("pods").reason)
        assert len(cache.snapshot("pods")) == 20
        return same(cache, sim)

    wait_until(settled, lambda: str(cache.status()))
    wait_live(cache)
    assert any("malformed" in reason for reason in reasons), reasons
    assert len(sim.request_log.lists("pods")) == before + 1
    assert len(sim.request_log.lists("namespaces")) == 1
    wait_until(lambda: follower.replayed() == kept(cache, "pods"))
    assert follower.ops() == {("update", "shop/p-00"): 1, ("update", "shop/p-01"): 1}


@pytest.mark.parametrize("damage", list(Damage))
def test_a_damaged_list_is_no_answer(sim: Simulator, tmp_path: Path, damage: Damage) -> None:
    sim.apply(*(pod(f"p-{i:02d}") for i in range(20)))
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    sim.corrupt_next(damage, match="list pods", times=2)
    with vai.connect(tmp_path / "c.db", ["pods"], kubeconfig=config) as cache:
        wait_until(lambda: len(sim.request_log.lists("pods")) >= 2)
        with pytest.raises(vai.NotSyncedError):
            cache.snapshot("pods")
        wait_live(cache)
        assert same(cache, sim)
        # Once it was whole, a damaged one takes nothing away.
        follower = Follower(cache, "pods")
        sim.cut()
        sim.apply(pod("p-00", "Failed"))
        sim.compact()
        before = len(sim.request_log.lists("pods"))
        sim.corrupt_next(damage, match="list pods", times=2)
        sim.restore()
        reasons: set[str] = set()

        def settled() -> bool:
            reasons.add(cache.freshness("pods").reason)
            assert len(cache.snapshot("pods")) == 20
            return same(cache, sim)

        wait_until(settled, lambda: str(cache.status()))
        wait_live(cache)
        assert len(sim.request_log.lists("pods")) == before + 3
        wait_until(lambda: follower.replayed() == kept(cache, "pods"))
        assert follower.ops() == {("update", "shop/p-00"): 1}
        assert ("malformed" in " ".join(reasons)) == (damage is Damage.MALFORMED), reasons


def test_a_server_whose_lists_always_break_is_asked_ever_less(
    sim: Simulator, tmp_path: Path
) -> None:
    """It is heard each time, and each time it is lost again: that must not make it a busy loop."""
    sim.apply(*(pod(f"p-{i:02d}") for i in range(20)))
    sim.corrupt_next(Damage.TRUNCATED, match="list", times=10_000)
    scopes = ["pods", "namespaces", "nodes"]
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=config) as cache:
        wait_until(lambda: len(sim.request_log.lists()) >= 3)
        time.sleep(5)
        asked = len(sim.request_log.lists())
        # Each at 0, 0.8 to 1.6 and 2.4 to 4.8 s, and once more when another one was heard.
        assert asked <= 4 * len(scopes), asked
        sim.faults.clear()
        wait_live(cache)
        assert same(cache, sim)


def test_a_truncated_watch_keeps_what_was_whole(cache: vai.Cache, sim: Simulator) -> None:
    follower = Follower(cache, "pods")
    sim.corrupt_next(Damage.TRUNCATED, match="watch pods")
    sim.apply(pod("p-00", "Failed"))
    sim.apply(pod("p-01", "Failed"))
    wait_until(lambda: same(cache, sim), lambda: str(cache.status()))
    assert len(sim.request_log.lists("pods")) == 1
    wait_until(lambda: follower.replayed() == kept(cache, "pods"))
    assert follower.ops() == {("update", "shop/p-00"): 1, ("update", "shop/p-01"): 1}


def test_an_empty_list_counts_only_when_it_is_confirmed(cache: vai.Cache, sim: Simulator) -> None:
    """An aggregated API whose backend is away may say that there is nothing."""
    follower = Follower(cache, "pods")
    sim.cut()
    sim.apply(pod("p-00", "Failed"))
    sim.compact()
    before = len(sim.request_log.lists("pods"))
    sim.lie_next_list(match="list pods")
    sim.restore()

    def settled() -> bool:
        assert len(cache.snapshot("pods")) == 20
        return same(cache, sim)

    wait_until(settled, lambda: str(cache.status()))
    wait_live(cache)
    # The lie, the question whether that is so, and the list.
    assert len(sim.request_log.lists("pods")) == before + 3
    wait_until(lambda: follower.replayed() == kept(cache, "pods"))
    assert follower.ops() == {("update", "shop/p-00"): 1}


def test_a_list_that_is_truly_empty_is_believed(cache: vai.Cache, sim: Simulator) -> None:
    follower = Follower(cache, "pods")
    sim.cut()
    for i in range(20):
        sim.delete("pods", f"p-{i:02d}", namespace="shop")
    sim.compact()
    sim.restore()
    wait_until(lambda: len(cache.snapshot("pods")) == 0, lambda: str(cache.status()))
    wait_live(cache)
    wait_until(lambda: follower.replayed() == {})
    assert all(change.relist for change in follower.seen)


def test_a_cluster_restored_from_a_backup_is_told_from_one_that_stands_still(
    cache: vai.Cache, sim: Simulator
) -> None:
    backup = sim.backup()
    sim.apply(*(pod(f"later-{i}") for i in range(5)))
    sim.apply(pod("p-00", "Failed"))
    sim.delete("pods", "p-01", namespace="shop")
    wait_until(lambda: same(cache, sim))
    follower = Follower(cache, "pods")
    newest = int(cache.freshness("pods").resource_version or 0)
    sim.restore_backup(backup)
    # By the first probe, not only when a watch from the future stays without a word.
    wait_until(lambda: same(cache, sim), lambda: str(cache.status()), 4)
    wait_live(cache)
    wait_until(lambda: follower.replayed() == kept(cache, "pods"))
    expected = {("delete", f"shop/later-{i}"): 1 for i in range(5)}
    assert follower.ops() == expected | {("update", "shop/p-00"): 1, ("add", "shop/p-01"): 1}
    # Versions of before count no longer, although the cluster gives them out again.
    assert int(cache.freshness("pods").resource_version or 0) < newest
    sim.apply(*(pod(f"other-{i}") for i in range(7)))
    wait_until(lambda: same(cache, sim))


def test_a_backup_that_is_restored_while_the_copy_is_away_is_noticed(
    sim: Simulator, tmp_path: Path
) -> None:
    """Though it has given some of the same versions to other objects meanwhile."""
    sim.apply(*(pod(f"p-{i:02d}") for i in range(20)))
    file, config = tmp_path / "c.db", sim.kubeconfig(tmp_path / "kubeconfig")
    backup = sim.backup()
    sim.apply(*(pod(f"later-{i}") for i in range(5)))
    with vai.connect(file, ["pods"], kubeconfig=config) as cache:
        wait_live(cache)
    sim.restore_backup(backup)
    sim.apply(pod("other-0"))
    with vai.connect(file, ["pods"], kubeconfig=config) as cache:
        follower = Follower(cache, "pods")
        assert eventually(lambda: same(cache, sim))
        wait_live(cache)
        expected = {("delete", f"shop/later-{i}"): 1 for i in range(5)}
        wait_until(lambda: follower.replayed() == kept(cache, "pods"))
        assert follower.ops() == expected | {("add", "shop/other-0"): 1}
