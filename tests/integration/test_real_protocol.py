"""Streaming lists of a real kube-apiserver, and reads of one's own writes through its watches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import kept, lists
from tests.integration.real import COLLECTIONS, exact, listed, redacted
from tests.timing import wait_until
from vai.config import Settings
from vai.store import Store
from vai.store.request import Request

pytestmark = pytest.mark.slow
SCOPES: Final = [*COLLECTIONS, "secrets", "events"]
HERE: Final = "/api/v1/namespaces/team-00/configmaps"


def settings(server: ApiServer, **more: Any) -> Settings:
    return Settings(kubeconfig=str(server.write_kubeconfig()), **more)


@pytest.fixture(scope="module")
def streamed(full_apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of everything that was read as streams."""
    file = tmp_path_factory.mktemp("streamed") / "c.db"
    chosen = settings(full_apiserver, streaming_lists="always")
    before = full_apiserver.audit_position()
    with vai.connect(file, SCOPES, settings=chosen) as cache:
        cache.wait_synced(timeout=120)
    asked = full_apiserver.audit(VAI, since=before)
    # A server that has just started may refuse the first one of a custom resource (429).
    assert set(lists(asked)) == {name.partition(".")[0] for name in SCOPES}
    assert [entry["requestURI"] for entry in asked if "limit=500" in entry["requestURI"]] == []
    return file


@pytest.mark.parametrize("resource", COLLECTIONS)
def test_what_came_as_a_stream_equals_the_servers_list(
    full_apiserver: ApiServer, streamed: Path, resource: str
) -> None:
    _, there = listed(full_apiserver, COLLECTIONS[resource])
    with vai.open(streamed) as cache:
        assert kept(cache, resource) == there


def test_secrets_are_streamed_without_their_values(
    full_apiserver: ApiServer, streamed: Path
) -> None:
    _, there = listed(full_apiserver, "/api/v1/secrets")
    with vai.open(streamed) as cache:
        here = {key: exact(item.partial()) for key, item in cache.snapshot("secrets").items()}
    assert here == {key: redacted(item) for key, item in there.items()}


def test_a_stream_brings_the_same_columns_and_cells_as_pages(
    full_apiserver: ApiServer, streamed: Path, tmp_path: Path
) -> None:
    chosen = settings(full_apiserver, streaming_lists="never")
    with vai.connect(tmp_path / "paged.db", ["services", "pods"], settings=chosen) as cache:
        cache.wait_synced(timeout=60)
    with Store(tmp_path / "paged.db", "reader") as paged, Store(streamed, "reader") as other:
        for name in ("services", "pods"):
            assert columns(paged, name) == columns(other, name)
        assert cells(paged) == cells(other)


def columns(store: Store, name: str) -> list[Any]:
    return list(store.columns(store.resolve(name)))


def cells(store: Store) -> dict[str, list[Any]]:
    """Of the Services: no cell of theirs but AGE depends on the moment."""
    rows = store.query(Request(resources=("services",), cells=True))
    found = {rows[i].key: json.loads(rows[i].cells or b"[]") for i in range(len(rows))}
    assert {len(cell) for cell in found.values()} == {7}
    return {key: cell[:5] + cell[6:] for key, cell in found.items()}


@pytest.fixture
def cache(full_apiserver: ApiServer, tmp_path: Path) -> Iterator[vai.Cache]:
    """ConfigMaps and namespaces, read as streams, live."""
    chosen = settings(full_apiserver, streaming_lists="always")
    with vai.connect(tmp_path / "c.db", ["configmaps", "namespaces"], settings=chosen) as made:
        wait_until(lambda: {one.state for one in made.status()} == {vai.State.LIVE})
        yield made


def test_ones_own_writes_are_read_at_once_and_never_an_older_state(
    full_apiserver: ApiServer, cache: vai.Cache
) -> None:
    """By the watch that the stream goes on as, and by those that follow it."""
    new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    made = full_apiserver.must("POST", HERE, new | {"data": {"n": "0"}})
    version = made["metadata"]["resourceVersion"]
    for number in range(1, 30):
        found = cache.wait_for(
            "configmaps", "team-00/mine", min_resource_version=version, timeout=30
        )
        assert found is not None
        assert exact(found.raw)["data"]["n"] == str(number - 1)
        written = full_apiserver.patch(f"{HERE}/mine", {"data": {"n": str(number)}})
        version = written["metadata"]["resourceVersion"]
        page = cache.list(
            "configmaps",
            namespace="team-00",
            where="name = mine",
            min_resource_version=version,
            on_stale="wait",
            timeout=30,
        )
        assert [item["data"]["n"] for item in exact(page.raw)["items"]] == [str(number)]
    full_apiserver.delete(f"{HERE}/mine")
    gone = cache.wait_for("configmaps", "team-00/mine", until=lambda o: o is None, timeout=30)
    assert gone is None


def test_a_write_elsewhere_proves_that_an_object_did_not_change(
    full_apiserver: ApiServer, cache: vai.Cache
) -> None:
    """The version of a namespace is newer than all ConfigMaps; a bookmark says they are as new."""
    name = listed(full_apiserver, HERE)[1].popitem()[0]
    written = full_apiserver.patch(
        "/api/v1/namespaces/default", {"metadata": {"labels": {"written": "elsewhere"}}}
    )
    version = written["metadata"]["resourceVersion"]
    found = cache.wait_for("configmaps", name, min_resource_version=version, timeout=60)
    assert found is not None
    assert int(found.resource_version) < int(version)
    assert int(cache.freshness("configmaps").resource_version or 0) >= int(version)
