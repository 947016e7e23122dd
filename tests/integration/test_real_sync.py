"""The whole copy equals the whole of a real cluster, object by object."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.integration.real import (
    COLLECTIONS,
    CONFIG_MAPS,
    PODS,
    SECRETS,
    WIDGETS,
    Json,
    eventually,
    exact,
    listed,
    vai_sync,
)

pytestmark = pytest.mark.slow

SECRETS_PATH = "/api/v1/secrets"


@pytest.fixture(scope="module")
def copy(full_apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that `vai sync --once` made, Secrets with their values."""
    file = tmp_path_factory.mktemp("copy") / "c.db"
    names = ",".join([*COLLECTIONS, "secrets"])
    done = vai_sync(full_apiserver, file, f"--resources={names}", "--secret-values")
    assert done.returncode == 0, done.stderr
    return file


def kept(cache: vai.Cache, resource: str) -> dict[str, object]:
    return {key: exact(found.raw) for key, found in cache.snapshot(resource).items()}


@pytest.mark.parametrize("resource", [*COLLECTIONS, "secrets"])
def test_every_object_equals_the_servers(
    full_apiserver: ApiServer, copy: Path, resource: str
) -> None:
    _, there = listed(full_apiserver, (COLLECTIONS | {"secrets": SECRETS_PATH})[resource])
    with vai.open(copy) as cache:
        here = kept(cache, resource)
    assert list(here) == list(there)
    assert here == there


def test_the_cluster_is_as_large_as_it_should_be(copy: Path) -> None:
    with vai.open(copy) as cache:
        counts = {status.resource: status.objects for status in cache.status()}
    assert counts["pods"] == PODS
    # kube-system has one of the server's own.
    assert counts["configmaps"] == CONFIG_MAPS + 1
    assert counts["widgets.shop.example.com"] == WIDGETS
    assert counts["secrets"] == SECRETS
    assert counts["namespaces"] == 14
    assert counts["roles.rbac.authorization.k8s.io"] > 50


def test_everything_that_is_served_is_kept(full_apiserver: ApiServer, tmp_path: Path) -> None:
    """`all` is every resource but leases and Secrets, whatever order its rows come in."""
    server, file = full_apiserver, tmp_path / "c.db"
    assert vai_sync(server, file, "--resources=all").returncode == 0
    with vai.open(file) as cache:
        statuses = {status.resource: status for status in cache.status()}
        assert not {"leases.coordination.k8s.io", "secrets"} & set(statuses)
        wanted = [found for found in cache.resources() if found.name in statuses]
        assert len(wanted) > 50
        for resource in wanted:
            assert (
                kept(cache, resource.name)
                == listed(server, f"{resource.path}/{resource.plural}")[1]
            )
    print(f"{sum(s.objects for s in statuses.values())} objects of {len(statuses)} resources")


def test_a_list_as_bytes_is_the_servers_list(full_apiserver: ApiServer, copy: Path) -> None:
    answer = exact(full_apiserver.request("GET", COLLECTIONS["configmaps"]).ok().body)
    with vai.open(copy) as cache:
        page = exact(cache.list("configmaps").raw)
    stamp = {"kind": "ConfigMap", "apiVersion": "v1"}
    answer["items"] = [stamp | item for item in answer["items"]]
    assert page["items"] == answer["items"]
    assert (page["kind"], page["apiVersion"]) == (answer["kind"], answer["apiVersion"])
    # Of the list that was synced; the server itself writes Leases all the time.
    assert int(page["metadata"]["resourceVersion"]) <= int(answer["metadata"]["resourceVersion"])


def test_compressed_answers_give_the_same_copy(full_apiserver: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    environ = os.environ | {"VAI_COMPRESS": "1", "VAI_PAGE_SIZE": "300"}
    resources = "--resources=pods,widgets,namespaces"
    done = vai_sync(full_apiserver, file, resources, environ=environ)
    assert done.returncode == 0, done.stderr
    with vai.open(file) as cache:
        for resource in ("pods", "widgets.shop.example.com", "namespaces"):
            _, there = listed(full_apiserver, COLLECTIONS[resource])
            assert kept(cache, resource) == there


def test_a_restart_costs_no_list(full_apiserver: ApiServer, copy: Path) -> None:
    server = full_apiserver
    while_away = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}
    here = f"{COLLECTIONS['configmaps'].replace('v1/', 'v1/namespaces/team-00/')}"
    victim = next(iter(server.get(here)["items"]))["metadata"]["name"]
    server.create_many([while_away | {"metadata": {"name": "new", "namespace": "team-00"}}])
    server.delete(f"{here}/{victim}")
    before = server.audit_position()
    config = server.write_kubeconfig()
    started = time.monotonic()
    names = [*COLLECTIONS, "secrets"]
    with vai.connect(copy, names, kubeconfig=config, secret_values=True) as cache:
        cache.wait_synced(timeout=1)
        assert len(cache.snapshot("pods")) == PODS
        answered_s = time.monotonic() - started
        assert eventually(lambda: {s.state for s in cache.status()} == {vai.State.LIVE})
        live_s = time.monotonic() - started
        assert cache.get("configmaps", "new", namespace="team-00")
        assert cache.get("configmaps", victim, namespace="team-00") is None
        for resource, path in COLLECTIONS.items():
            assert kept(cache, resource) == listed(server, path)[1]
    asked = server.audit(VAI, since=before)
    print(f"answered after {answered_s:.2f} s, live after {live_s:.2f} s, {len(asked)} requests")
    check_no_list(asked)
    watched = {entry["objectRef"]["resource"] for entry in asked if entry["verb"] == "watch"}
    assert len(watched) == len(names)


def check_no_list(asked: list[Json]) -> None:
    """No list in any disguise: by verb, by streaming, by a watch from 0 or from nowhere."""
    assert asked
    assert [entry["requestURI"] for entry in asked if entry["verb"] == "list"] == []
    for entry in asked:
        if entry["verb"] != "watch":
            continue
        query = parse_qs(urlsplit(entry["requestURI"]).query)
        if "sendInitialEvents" in query:
            (selector,) = query["fieldSelector"]
            # The probe: it selects no object.
            assert selector.startswith("metadata.name="), entry["requestURI"]
        else:
            assert int(query["resourceVersion"][0]) > 0, entry["requestURI"]
