"""A real cluster is restored from a backup: resourceVersions go back, kube-system keeps its uid."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import Follower, kept, lists
from tests.faults.processes import LIVE_WITHIN_S, wait_until
from tests.faults.writes import collection, config_map, namespace
from tests.integration.real import listed

pytestmark = pytest.mark.slow
HERE = "restored"


def test_what_was_written_after_the_backup_is_gone_again(victim: ApiServer, tmp_path: Path) -> None:
    victim.create_many([namespace(HERE)])
    victim.create_many(config_map(HERE, f"kept-{i:02d}") for i in range(20))
    victim.save_data(tmp_path / "backup")
    scopes: list[vai.Scope | str] = [vai.Scope("configmaps", HERE), "namespaces"]
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=victim.write_kubeconfig()) as cache:
        wait_until(lambda: {one.state for one in cache.status()} == {vai.State.LIVE})
        uid = cache.cluster()
        # Enough that the restarts' own writes don't make up for them.
        victim.create_many(config_map(HERE, f"later-{i:03d}") for i in range(200))
        victim.patch(f"{collection(HERE)}/kept-00", {"data": {"value": "later"}})
        victim.delete(f"{collection(HERE)}/kept-01")
        there = listed(victim, collection(HERE))[1]
        wait_until(lambda: kept(cache, "configmaps") == there)
        newest = int(cache.freshness("configmaps").resource_version or 0)
        follower = Follower(cache, "configmaps")
        before = victim.audit_position()

        victim.load_data(tmp_path / "backup")
        shutil.rmtree(tmp_path / "backup")
        assert victim.revision() < newest
        there = listed(victim, collection(HERE))[1]
        back_s = wait_until(
            lambda: kept(cache, "configmaps") == there, lambda: str(cache.status()), 40
        )
        wait_until(lambda: {one.state for one in cache.status()} == {vai.State.LIVE})
        wait_until(lambda: follower.replayed() == there)
        expected = {("delete", f"{HERE}/later-{i:03d}"): 1 for i in range(200)}
        expected |= {("update", f"{HERE}/kept-00"): 1, ("add", f"{HERE}/kept-01"): 1}
        assert follower.ops() == expected
        assert int(cache.freshness("configmaps").resource_version or 0) < newest
        assert cache.cluster() == uid
        print(f"{back_s:.1f} s, lists {dict(lists(victim.audit(VAI, since=before)))}")
        # What it gives out now under versions of before counts.
        victim.create_many(config_map(HERE, f"again-{i:03d}") for i in range(30))
        there = listed(victim, collection(HERE))[1]
        wait_until(lambda: kept(cache, "configmaps") == there, str, 2 * LIVE_WITHIN_S)
