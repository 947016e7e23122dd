"""Handlers against a real kube-apiserver: what they were told adds up to what it has."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import lists
from tests.faults.writes import collection, config_map, namespace
from tests.integration.real import listed
from tests.unit.cache.told import Told

pytestmark = pytest.mark.slow

WRITES: Final = 500
CLIENTS: Final = 4
NAMES: Final = 60
HERE: Final = "handled"


def write(server: ApiServer, seed: int, writes: int) -> Counter[str]:
    """That many writes that changed something."""
    chosen, done = random.Random(seed), Counter[str]()
    while done.total() < writes:
        name = f"c-{chosen.randrange(NAMES):02d}"
        path = f"{collection(HERE)}/{name}"
        what = chosen.choice(["create", "patch", "patch", "delete"])
        value = f"{seed}-{done.total()}-{chosen.random()}"
        if what == "create":
            answer = server.request("POST", collection(HERE), config_map(HERE, name, value))
        elif what == "patch":
            answer = server.request(
                "PATCH",
                path,
                {"data": {"value": value}, "metadata": {"labels": {"on": value[-1]}}},
                headers={"Content-Type": "application/merge-patch+json"},
            )
        else:
            answer = server.request("DELETE", path)
        if answer.status < 300:
            done[what] += 1
        else:
            assert answer.status in (404, 409), answer.body
    return done


def there(server: ApiServer, label: str = "") -> dict[str, str]:
    """resourceVersions by key."""
    query = f"?labelSelector={label}" if label else ""
    _, found = listed(server, f"{collection(HERE)}{query}")
    return {key: str(item["metadata"]["resourceVersion"]) for key, item in found.items()}


def test_what_handlers_were_told_equals_the_server(apiserver: ApiServer, tmp_path: Path) -> None:
    apiserver.create_many([namespace(HERE)])
    config = apiserver.write_kubeconfig(VAI, tmp_path / "kubeconfig")
    scopes = [vai.Scope("configmaps", namespace=HERE)]
    before = apiserver.audit_position()
    with vai.connect(tmp_path / "c.db", scopes, kubeconfig=config, context=VAI) as cache:
        nap = random.Random(1)
        plain, narrow = Told(), Told()
        slow = Told(lambda: time.sleep(nap.random() * 0.01))
        cache.add_handler("configmaps", **plain.callbacks)
        cache.add_handler("configmaps", **slow.callbacks)
        cache.add_handler("configmaps", label_selector="on in (1, 2, 3)", **narrow.callbacks)
        for registration in cache.handlers:
            registration.wait_synced(60)
        with ThreadPoolExecutor(CLIENTS) as clients:
            jobs = [
                clients.submit(write, apiserver, seed, WRITES // CLIENTS) for seed in range(CLIENTS)
            ]
            late = Told()
            cache.add_handler("configmaps", **late.callbacks)
            total = sum((job.result() for job in jobs), Counter[str]())
        handlers = (plain, slow, late)
        for told in handlers:
            told.wait_equal(there(apiserver))
        narrow.wait_equal(there(apiserver, "on+in+(1,2,3)"))
        assert plain.calls[-total.total() :] == slow.calls[-total.total() :]
        assert plain.tombstones == []
        # What a list finds: the checkpoint no longer counts.
        engine = cache._engine
        engine.pause()
        write(apiserver, 99, 100)
        assert engine._writer is not None
        engine._writer.void_checkpoint(None, "for this test")
        engine.resume()
        for told in handlers:
            told.wait_equal(there(apiserver))
        narrow.wait_equal(there(apiserver, "on+in+(1,2,3)"))
        assert plain.tombstones
        assert all(gone.object is not None for gone in plain.tombstones)
        assert not [error for told in handlers for error in told.errors]
    asked = lists(apiserver.audit(VAI, since=before))
    print(f"{dict(total)} writes; {len(plain.calls)} calls; lists {dict(asked)}")
    assert asked["configmaps"] == 2
