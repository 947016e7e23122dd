"""The sync side against a real kube-apiserver that fails in ways of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer
from tests.conftest import FreshApiServer
from vai.config import Settings
from vai.informer import Informer
from vai.kube import connect
from vai.store import Store
from vai.types import Scope, ScopeStatus, State

pytestmark = pytest.mark.slow


class Sync:
    """A file that follows a server."""

    def __init__(
        self, server: ApiServer, file: Path, limit_s: float, scopes: tuple[str, ...], streams: str
    ) -> None:
        self.server = server
        self.store = Store(file, "writer", live_within=limit_s)
        settings = Settings(
            kubeconfig=str(server.write_kubeconfig()),
            live_within_s=limit_s,
            streaming_lists=streams,
        )
        wanted = [Scope(name) for name in scopes]
        self.informer = Informer(self.store, connect(settings), wanted, settings)
        self.informer.start()

    def states(self) -> dict[str, ScopeStatus]:
        return {found.resource: found for found in self.store.scopes()}

    def live(self) -> bool:
        found = self.store.scopes()
        return self.informer.wait_planned(0) and all(s.state is State.LIVE for s in found)

    def wait(self, done: Callable[[], bool], timeout_s: float) -> float:
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > timeout_s:
                wrong = [(str(s), s.state, s.reason) for s in self.store.scopes()]
                raise AssertionError(f"not within {timeout_s}s: {wrong}")
            time.sleep(0.02)
        return time.monotonic() - began

    def same(self, name: str) -> bool:
        resource = self.store.resolve(name)
        rows = self.store.rows(resource)
        have = {row.key: row.resource_version for row in (rows[i] for i in range(len(rows)))}
        listed = self.server.get(f"{resource.path}/{resource.plural}")["items"]
        return have == {
            "/".join(filter(None, (meta.get("namespace"), meta["name"]))): meta["resourceVersion"]
            for meta in (item["metadata"] for item in listed)
        }


@contextmanager
def syncing(
    server: ApiServer, file: Path, *scopes: str, limit_s: float = 10, streams: str = "auto"
) -> Iterator[Sync]:
    sync = Sync(server, file, limit_s, scopes, streams)
    try:
        sync.wait(sync.live, 30)
        yield sync
    finally:
        assert sync.informer.stop()
        sync.store.close()


@contextmanager
def writing(server: ApiServer) -> Iterator[None]:
    """Writes to one namespace five times a second: all other resources are quiet."""
    stop = threading.Event()

    def write() -> None:
        for number in range(10_000):
            if stop.wait(0.2):
                return
            server.patch("/api/v1/namespaces/default", {"metadata": {"labels": {"n": str(number)}}})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def lists(server: ApiServer, since: int) -> list[str]:
    return [e["requestURI"] for e in server.audit(VAI, since=since) if e["verb"] == "list"]


def test_every_resource_stays_live_while_another_one_changes(
    fresh_apiserver: FreshApiServer, tmp_path: Path
) -> None:
    server = fresh_apiserver()
    with syncing(server, tmp_path / "c.db", "*", limit_s=15) as sync, writing(server):
        since = server.audit_position()
        end = time.monotonic() + 32
        oldest: dict[str, float] = {}
        while time.monotonic() < end:
            for name, found in sync.states().items():
                assert found.state is State.LIVE, (name, found.age_s, found.reason)
                oldest[name] = max(oldest.get(name, 0), found.age_s or 0)
            time.sleep(0.1)
        assert len(oldest) > 50
        # Everything was proven again and again, events too, which get no bookmarks, and no list
        # was asked for.
        assert max(oldest.values()) < 15
        assert "no bookmarks" in sync.states()["events"].reason
        assert lists(server, since) == []
        requests = [e for e in server.audit(VAI, since=since) if e["stage"] == "ResponseComplete"]
        # A probe and a watch of ten seconds.
        assert len(requests) / len(oldest) / 32 < 0.3


def test_a_restart_proves_every_resource_in_seconds_and_without_a_list(
    fresh_apiserver: FreshApiServer, tmp_path: Path
) -> None:
    server = fresh_apiserver()
    file = tmp_path / "c.db"
    with syncing(server, file, "*", limit_s=30):
        pass
    # The server moves on, so that nothing is proven by its standing still.
    server.patch("/api/v1/namespaces/default", {"metadata": {"labels": {"a": "b"}}})
    since, began = server.audit_position(), time.monotonic()
    with syncing(server, file, "*", limit_s=30) as sync:
        assert time.monotonic() - began < 12
        assert len(sync.states()) > 50
        assert lists(server, since) == []


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("pause", {State.OFFLINE}),
        # Without etcd some requests hang, and some are answered 500: then the server is heard.
        ("kill_etcd", {State.OFFLINE, State.STALE}),
    ],
)
def test_a_server_that_hangs_is_told_within_the_limit_and_resumed_without_a_list(
    fresh_apiserver: FreshApiServer, tmp_path: Path, fault: str, states: set[State]
) -> None:
    server = fresh_apiserver()
    server.create_many(objects.namespaces(3))
    server.create_many(objects.config_maps(30, namespace_count=3))
    with syncing(server, tmp_path / "c.db", "configmaps", "namespaces") as sync:
        since = server.audit_position()
        getattr(server, fault)()
        assert sync.wait(lambda: {s.state for s in sync.states().values()} <= states, 10) < 10
        assert all(found.reason for found in sync.states().values())
        assert sync.states()["configmaps"].objects >= 30
        server.resume() if fault == "pause" else server.restart_etcd()
        sync.wait(sync.live, 30)
        assert sync.same("configmaps")
        assert sync.same("namespaces")
        assert lists(server, since) == []


def test_a_cluster_restored_from_a_backup_is_listed_again(
    fresh_apiserver: FreshApiServer, tmp_path: Path
) -> None:
    server = fresh_apiserver()
    server.create_many(objects.namespaces(3))
    server.create_many(objects.config_maps(30, namespace_count=3))
    server.save_data(tmp_path / "backup")
    with syncing(server, tmp_path / "c.db", "configmaps", "namespaces") as sync:
        for meta in [item["metadata"] for item in server.get("/api/v1/configmaps")["items"]]:
            path = f"/api/v1/namespaces/{meta['namespace']}/configmaps/{meta['name']}"
            server.patch(path, {"data": {"since": "the backup"}})
        sync.wait(lambda: sync.same("configmaps"), 10)
        server.load_data(tmp_path / "backup")
        sync.wait(lambda: sync.live() and sync.same("configmaps"), 30)
        assert sync.same("namespaces")


def test_a_server_without_streaming_lists_is_read_by_pages_and_probed_by_lists_of_one(
    fresh_apiserver: FreshApiServer, tmp_path: Path
) -> None:
    server = fresh_apiserver(extra_flags=("--feature-gates=WatchList=false",))
    server.create_many(objects.namespaces(3))
    before, file = server.audit_position(), tmp_path / "c.db"
    with syncing(server, file, "pods", "namespaces", streams="always") as sync, writing(server):
        asked = [e for e in server.audit(VAI, since=before) if e["stage"] == "ResponseComplete"]
        streams = [e for e in asked if "sendInitialEvents" in e["requestURI"]]
        refused = [e for e in streams if "vai_probe" not in e["requestURI"]]
        # What one has learnt the other need not ask, unless they began together.
        assert 1 <= len(refused) <= 2
        assert {e["responseStatus"]["code"] for e in refused} == {422}
        since = server.audit_position()
        end = time.monotonic() + 15
        while time.monotonic() < end:
            found = sync.states()["pods"]
            assert found.state is State.LIVE, found.reason
            time.sleep(0.1)
        assert lists(server, since)
        assert all("limit=1" in uri and "limit=1&" not in uri for uri in lists(server, since))


def test_compacted_history_costs_one_list_and_finds_what_was_deleted(
    fresh_apiserver: FreshApiServer, tmp_path: Path
) -> None:
    server = fresh_apiserver(extra_flags=("--watch-cache=false",))
    server.create_many(objects.namespaces(3))
    server.create_many(objects.config_maps(30, namespace_count=3))
    file = tmp_path / "c.db"
    with syncing(server, file, "configmaps"):
        pass
    gone = server.get("/api/v1/configmaps")["items"][0]["metadata"]
    server.delete(f"/api/v1/namespaces/{gone['namespace']}/configmaps/{gone['name']}")
    server.compact()
    since = server.audit_position()
    with syncing(server, file, "configmaps") as sync:
        assert sync.same("configmaps")
    assert len(lists(server, since)) == 1


def test_a_busy_server_is_waited_for(fresh_apiserver: FreshApiServer, tmp_path: Path) -> None:
    flags = ("--enable-priority-and-fairness=false", "--max-requests-inflight=2")
    server = fresh_apiserver(extra_flags=flags)
    with syncing(server, tmp_path / "c.db", "*") as sync:
        assert len(sync.states()) > 50
