"""Everything or a choice, and gently: against a real kube-apiserver, beside its audit log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

import vai
from tests.apiserver.server import VAI, ApiServer
from tests.integration.real import eventually
from vai.store import Store
from vai.types import UNKNOWN_SCOPES, ScopeStatus, State, Traffic

pytestmark = pytest.mark.slow

GROUP: Final = "nowhere.example.com"
API_SERVICE: Final[dict[str, Any]] = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": f"v1.{GROUP}"},
    "spec": {
        "group": GROUP,
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": "default", "port": 443},
    },
}


def crd(group: str, *versions: str) -> dict[str, Any]:
    """Widgets in these versions, the first one stored."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {
                    "name": name,
                    "served": True,
                    "storage": number == 0,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
                for number, name in enumerate(versions)
            ],
        },
    }


@contextmanager
def syncing(server: ApiServer, file: Path, *arguments: str) -> Iterator[None]:
    """`vai sync`, as a user runs it."""
    config = server.write_kubeconfig(VAI, file.parent / "kc")
    command = [
        *(sys.executable, "-m", "vai", "sync", f"--file={file}", f"--kubeconfig={config}"),
        *arguments,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


def scopes(file: Path) -> dict[str, ScopeStatus]:
    if not file.exists():
        return {}
    with Store(file, "reader") as store:
        return {scope.resource: scope for scope in store.scopes()}


def live(file: Path) -> bool:
    found = scopes(file)
    return bool(found) and all(one.state is State.LIVE for one in found.values())


def test_what_a_broken_extension_serves_goes_stale_and_the_rest_goes_on(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    group, file = "ext.gentle.example.com", tmp_path / "c.db"
    apiserver.install_crd(crd(group, "v1"))
    name = f"widgets.{group}"
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}}
    apiserver.must("POST", f"/apis/{group}/v1/namespaces/default/widgets", widget)
    service = f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{group}"
    with syncing(apiserver, file, "--resources", f"{name},namespaces"):
        assert eventually(lambda: live(file) and name in scopes(file)), scopes(file)
        # An extension server that is not there takes the group over; without the label the CRD's
        # own APIService is no longer kept as it was.
        apiserver.patch(
            service,
            {
                "metadata": {"labels": {"kube-aggregator.kubernetes.io/automanaged": None}},
                "spec": API_SERVICE["spec"] | {"group": group},
            },
        )
        assert eventually(lambda: scopes(file)[name].state is State.STALE, 60), scopes(file)
        assert "503" in scopes(file)[name].reason
        assert scopes(file)[name].objects == 1
        assert scopes(file)["namespaces"].state is State.LIVE
    apiserver.delete(service)


def test_an_api_whose_server_never_came_hides_nothing_and_says_why_its_names_are_unknown(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "c.db"
    apiserver.must("POST", "/apis/apiregistration.k8s.io/v1/apiservices", API_SERVICE)
    try:
        with vai.connect(
            file, [f"things.{GROUP}", "nodes"], kubeconfig=apiserver.write_kubeconfig(VAI)
        ) as cache:
            assert eventually(lambda: "nodes" in scopes(file) and live(file), 30)
            assert len(cache.snapshot("nodes")) == len(apiserver.get("/api/v1/nodes")["items"])
            with Store(file, "reader") as store:
                told = (store.document(UNKNOWN_SCOPES) or b"").decode()
            assert f"not known right now: {GROUP}/v1 (its server is away)" in told
    finally:
        apiserver.delete(f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{GROUP}")


def test_a_resource_without_a_watch_is_polled(apiserver: ApiServer, tmp_path: Path) -> None:
    config = apiserver.write_kubeconfig(VAI)
    before = apiserver.audit_position()
    with vai.connect(tmp_path / "c.db", "componentstatuses", kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
        assert eventually(lambda: cache.status()[0].state is State.LIVE)
        found = cache.snapshot("componentstatuses")
        assert found.freshness.reason == "polled every 24s"
        assert {status.name for status in found.values()} >= {"scheduler", "controller-manager"}
    asked = [entry["verb"] for entry in apiserver.audit(since=before)
             if "componentstatuses" in entry["requestURI"]]  # fmt: skip
    assert set(asked) == {"list"}


def verb_of(entry: dict[str, Any]) -> str:
    """As vai counts it."""
    uri = urlsplit(entry["requestURI"])
    query = parse_qs(uri.query)
    if query.get("watch") == ["true"]:
        return "probe" if "sendInitialEvents" in query else "watch"
    if uri.path in {"/api", "/apis"} or "/customresourcedefinitions/" in uri.path:
        return "discovery"
    return "list" if entry["verb"] == "list" else "other"


def test_counts_are_those_of_the_audit_log(apiserver: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    before = apiserver.audit_position()

    def logged() -> Counter[str]:
        return Counter(verb_of(entry) for entry in apiserver.audit(since=before))

    def counted() -> Traffic:
        with Store(file, "reader") as store:
            traffic = store.traffic()
        assert traffic is not None
        return traffic

    with syncing(apiserver, file, "--resources=all", "--exclude=events,*.k8s.io"):
        assert eventually(lambda: live(file), 60), scopes(file)
        # For a whole cycle of proofs, so that each verb has been asked for again.
        at = logged()["probe"] + 1
        assert eventually(lambda: logged()["probe"] >= at, 40)
    requests = Counter({verb: count.requests for verb, count in counted().verbs.items()})
    # What is cut off when it ends may have reached the log or not.
    difference = requests - logged() + (logged() - requests)
    assert difference.total() <= len(scopes(file)), (requests, logged())
    assert requests["list"] == logged()["list"]
    assert requests["discovery"] == logged()["discovery"]
    assert counted().total.received_bytes > 10_000


def test_rounds_of_discovery_are_not_sent_twice(apiserver: ApiServer) -> None:
    from vai.config import Settings
    from vai.kube import connect, discover

    transport = connect(Settings(kubeconfig=str(apiserver.write_kubeconfig(VAI))))
    first = discover(transport)
    before = apiserver.audit_position()
    assert discover(transport) == first
    transport.close()
    assert eventually(lambda: len(apiserver.audit(since=before)) == 2)
    assert {e["responseStatus"]["code"] for e in apiserver.audit(since=before)} == {304}


def test_a_preferred_version_that_changes_changes_no_row(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    group, file = "up.gentle.example.com", tmp_path / "c.db"
    apiserver.install_crd(crd(group, "v1beta1"))
    widget = {"apiVersion": f"{group}/v1beta1", "kind": "Widget", "metadata": {"name": "w"}}
    apiserver.must("POST", f"/apis/{group}/v1beta1/namespaces/default/widgets", widget)
    name = f"widgets.{group}"
    before = apiserver.audit_position()
    config = apiserver.write_kubeconfig(VAI)
    with vai.connect(file, [name], kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
        since = cache.snapshot(name).position
        apiserver.patch(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}",
            {"spec": {"versions": crd(group, "v1beta1", "v1")["spec"]["versions"]}},
        )
        syncs = cache._engine.syncing
        assert syncs is not None

        def moved() -> bool:
            syncs.rediscover()  # type: ignore[attr-defined]
            uris = [entry["requestURI"] for entry in apiserver.audit(since=before)]
            return any(f"/apis/{group}/v1/widgets" in uri and "watch=" in uri for uri in uris)

        assert eventually(moved, 60)
        assert eventually(lambda: live(file))
        assert len(cache.snapshot(name)) == 1
        history = cache._engine.store.changes([cache._engine.store.resolve(name)], since)
        assert list(history.next_batch(10, 0.1)) == []
    lists = [entry for entry in apiserver.audit(since=before)
             if entry["verb"] == "list" and group in entry["requestURI"]]  # fmt: skip
    # With the CRD's storage kube-apiserver makes its watch cache anew, without a history: 410.
    assert 1 <= len(lists) <= 2


def test_the_edge_profile_asks_for_less(apiserver: ApiServer, tmp_path: Path) -> None:
    received = {}
    for profile in ("standard", "edge"):
        file = tmp_path / profile / "c.db"
        file.parent.mkdir()
        environ = {**os.environ, "VAI_COMPRESS": "true"}
        config = apiserver.write_kubeconfig(VAI)
        command = [
            *(sys.executable, "-m", "vai", "sync", "--once", f"--file={file}", "--resources=crd"),
            *(f"--kubeconfig={config}", f"--profile={profile}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
        assert done.returncode == 0, done.stderr
        with Store(file, "reader") as store:
            traffic = store.traffic()
        assert traffic is not None
        received[profile] = traffic.verbs["list"].received_bytes
    assert received["edge"] < received["standard"]
