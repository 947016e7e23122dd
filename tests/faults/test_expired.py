"""410: the server has forgotten what came after the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import Follower, kept, lists
from tests.faults.processes import StartSync, wait_states, wait_until
from tests.faults.writes import collection, config_map, namespace
from tests.integration.real import listed

pytestmark = pytest.mark.slow
NO_CACHE = "--watch-cache=false"


@pytest.fixture(params=[(), (NO_CACHE,)], ids=["restarted", "no-watch-cache"])
def flags(request: pytest.FixtureRequest, victim: ApiServer) -> Iterator[tuple[str, ...]]:
    """For a kube-apiserver that asks etcd itself, or for one whose cache was just filled."""
    if request.param:
        victim.restart(request.param)
    yield request.param
    if request.param:
        victim.restart()


def test_an_expired_checkpoint_costs_one_list_and_finds_what_was_deleted(
    victim: ApiServer, flags: tuple[str, ...], sync: StartSync, tmp_path: Path
) -> None:
    here = f"expired-{len(flags)}"
    file, config = tmp_path / "c.db", victim.write_kubeconfig()
    victim.create_many([namespace(here)])
    victim.create_many(config_map(here, f"old-{i:02d}") for i in range(40))
    process = sync(file, config, "configmaps,serviceaccounts", "-n", here)
    wait_states(file, configmaps="live", serviceaccounts="live")
    process.kill()

    with vai.open(file) as reader:
        follower = Follower(reader, "configmaps")
        assert len(follower.before) == 40
        version = reader.freshness("configmaps").resource_version
        while_away(victim, here)
        victim.compact()
        if not flags:
            # Its watch cache would still have it.
            victim.restart()
        (refusal,) = victim.watch(f"{collection(here)}?resourceVersion={version}")
        assert refusal["object"]["code"] == 410
        before = victim.audit_position()
        sync(file, config, "configmaps,serviceaccounts", "-n", here)
        wait_states(file, configmaps="live", serviceaccounts="live")
        there = listed(victim, collection(here))[1]
        assert kept(reader, "configmaps") == there
        wait_until(lambda: follower.replayed() == there)
        asked = victim.audit(VAI, since=before)
        check(follower, here)
    print(f"lists {dict(lists(asked))}, {len(follower.seen)} changes")
    assert lists(asked) == {"configmaps": 1, "serviceaccounts": 1}


def while_away(server: ApiServer, here: str) -> None:
    """Ten go, ten change, ten go and come again, ten come."""
    for i in [*range(10), *range(20, 30)]:
        server.delete(f"{collection(here)}/old-{i:02d}")
    for i in range(10, 20):
        server.patch(f"{collection(here)}/old-{i:02d}", {"data": {"value": "changed"}})
    server.create_many(config_map(here, f"old-{i:02d}") for i in range(20, 30))
    server.create_many(config_map(here, f"new-{i:02d}") for i in range(10))


def check(follower: Follower, here: str) -> None:
    """Each once, marked as found by a list; what was left alone, never."""
    expected = {("delete", f"{here}/old-{i:02d}"): 1 for i in [*range(10), *range(20, 30)]}
    expected |= {("update", f"{here}/old-{i:02d}"): 1 for i in range(10, 20)}
    expected |= {("add", f"{here}/old-{i:02d}"): 1 for i in range(20, 30)}
    expected |= {("add", f"{here}/new-{i:02d}"): 1 for i in range(10)}
    assert follower.ops() == expected
    assert all(change.relist for change in follower.seen)
