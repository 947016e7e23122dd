"""etcd is restored while a list is read by pages: what was read is of a history that is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.faults.processes import wait_until
from tests.faults.writes import config_map
from vai.config import Settings
from vai.testing import Fault, Simulator
from vai.testing.requests import Request

LACKS: Final = 20
#: How many writes the restored server has had when the old token comes. With more than the backup
#: lacks it takes the token, and no resourceVersion tells that there are two histories.
WRITES: Final = (0, LACKS // 2, LACKS * 2)


def between_pages(what: Callable[[], None]) -> Fault:
    """A server that ends before it answers the second page; another one is at its address."""
    done: list[None] = []

    def meets(request: Request) -> bool:
        if request.resource != "configmaps" or "continue" not in request.query or done:
            return False
        done.append(None)
        what()
        return True

    return Fault("reset", at=meets)


def there(sim: Simulator) -> dict[str, str]:
    found = [one["metadata"] for one in sim.list("configmaps")]
    return {f"{one['namespace']}/{one['name']}": one["resourceVersion"] for one in found}


def kept(cache: vai.Cache) -> dict[str, str]:
    return {key: found.resource_version for key, found in cache.snapshot("configmaps").items()}


@pytest.mark.parametrize("again", [False, True], ids=["first list", "relist"])
@pytest.mark.parametrize("writes", WRITES)
def test_no_phantom_is_answered(
    sim: Simulator, tmp_path: Path, writes: int, *, again: bool
) -> None:
    sim.apply(*(config_map("default", f"b-{i}") for i in range(8)))
    sim.backup()
    sim.apply(*(config_map("default", f"a-phantom-{i:02d}") for i in range(LACKS)))
    sim.wait_s = 0.1

    def restore() -> None:
        sim.cut()
        sim.restore_backup()
        threading.Timer(0.2, sim.restore).start()
        sim.apply(*(config_map("default", f"c-{i:02d}") for i in range(writes)))

    known = Settings(
        kubeconfig=str(sim.kubeconfig(tmp_path / "kc")),
        page_size=5,
        live_within_s=8,
        backoff_base_s=0.05,
    )
    if not again:
        sim.inject(between_pages(restore))
    with vai.connect(tmp_path / "c.db", ["configmaps"], settings=known) as cache:
        if again:
            cache.wait_synced(30)
            sim.inject(between_pages(restore), Fault("expired", at="watch configmaps"))
            sim.drop_connections()
        wait_until(lambda: "reset" in str(sim.faults))
        cache.wait_synced(30)
        wait_until(lambda: kept(cache) == there(sim), lambda: str(cache.status()))
        told = {change.key for change in rest(cache.changes("configmaps", "beginning"))}
        # A first list shows them to nobody, not even for a moment.
        assert again or not {key for key in told if "phantom" in key}


def rest(changes: vai.Changes) -> Iterator[vai.Change]:
    with changes:
        while (change := changes.poll()) is not None:
            yield change
